/** Bundles the page for browsers, with Bun's own bundler. Runs when the executable is built, or when serve runs from source. */

/** A file of the page. */
export interface PageFile {
  /** Its media type, for the header Content-Type. */
  readonly type: string;
  readonly text: string;
}

/** The files of the page by their paths; `/` is the document. All others have a hash of their content in their names. */
export type Page = Readonly<Record<string, PageFile>>;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** `entry`: the path of index.html. Throws an AggregateError with the bundler's messages. */
export async function bundlePage(entry: string): Promise<Page> {
  const { outputs } = await Bun.build({
    entrypoints: [entry],
    target: "browser",
    minify: true,
    naming: { entry: "[name].[ext]", chunk: "[name]-[hash].[ext]", asset: "[name]-[hash].[ext]" },
    publicPath: "/assets/",
  });
  const files = await Promise.all(
    outputs.map(async (output) => {
      const name = output.path.slice(output.path.lastIndexOf("/") + 1);
      const type = TYPES[name.slice(name.lastIndexOf(".") + 1)];
      if (type === undefined) throw new Error(`the page has a file of an unknown type: ${name}`);
      return { name, type, text: await output.text() };
    }),
  );
  // The bundler's hash differs with the directory of the sources. Ours is of the content alone, so that another checkout gives
  // the same executable.
  const paths = files
    .filter(({ name }) => name !== "index.html")
    .map(({ name, text }): [string, string] => {
      const hash = Bun.hash(text).toString(36);
      return [`/assets/${name}`, `/assets/${name.replace(/-\w+\./, `-${hash}.`)}`];
    });
  const page = files.map(({ name, type, text }): [string, PageFile] =>
    name === "index.html"
      ? ["/", { type, text: paths.reduce((html, [before, after]) => html.replaceAll(before, after), text) }]
      : [new Map(paths).get(`/assets/${name}`)!, { type, text }],
  );
  return Object.fromEntries(page.sort(([x], [y]) => (x < y ? -1 : 1)));
}
