/** The files of the page. scripts/build.ts puts the bundle itself in the place of this module. */
import { bundlePage, type Page } from "./bundle-page.ts";

export const loadPage = (): Promise<Page> =>
  bundlePage(new URL("../page/index.html", import.meta.url).pathname);
