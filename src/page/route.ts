/** The addresses of the views. They stand in the fragment, which no request contains: the server needs to know only `/`. */

export interface Route {
  /** The view, and what it shows: ["jobs"], ["jobs", ID], ["keys", KEY]. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

export function readRoute(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^#?\/?/, "").split(/\?(.*)/s);
  return { path: path === "" ? [] : path.split("/").map(decode), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a view. Empty and undefined values are left out. */
export function address(
  path: readonly string[],
  query: Readonly<Record<string, string | readonly string[] | undefined>> = {},
): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of typeof value === "string" ? [value] : (value ?? []))
      if (one !== "") parameters.append(name, one);
  const text = parameters.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

export const jobAddress = (jobId: string) => address(["jobs", jobId]);
export const keyAddress = (runKey: string) => address(["keys", runKey]);
