/** What `serve` answers at which address: the page, and the JSON API that it is made of. */
import { OrchesjobError } from "../../job/errors.ts";
import type { FleetMember } from "../../fleet/member.ts";
import { isThere } from "../../linux/stat.ts";
import { Changes } from "../../serve/changes.ts";
import { loadPage } from "../../serve/page.ts";
import { type Answerer, jsonReply, type Reply } from "../../serve/reply.ts";
import { Viewer } from "../../serve/viewer.ts";
import type { Context } from "../../state/context.ts";
import { LOG_STREAMS } from "../../state/paths.ts";
import { fleetView } from "../output/fleet-view.ts";
import { key, keys, overview, runView, timeline } from "./figure-answers.ts";
import { list, log, search, viewOf } from "./job-answers.ts";
import { allowOnly } from "./query.ts";

/** Files of the page, except the document, have a hash of their content in their names. */
const FOR_EVER = "private, max-age=31536000, immutable";

export async function createApi(context: Context, version: string): Promise<Answerer> {
  const viewer = new Viewer(context);
  // Throws now rather than at the first question.
  await viewer.open();
  const changes = new Changes(viewer, { job: (job) => viewOf(viewer, job), run: runView });
  const page = new Map(Object.entries(await loadPage()));

  const ofApi: Answerer = async ({ path, query }) => {
    const [, what, id, part, more, ...rest] = path;
    if (rest.length > 0) return undefined;
    const depth = path.length;
    if (what === "jobs" && depth === 2) return list(viewer, query);
    if (what === "jobs" && id !== undefined) {
      const stream = LOG_STREAMS.find((name) => name === part);
      if (stream !== undefined && depth === 4) return log(viewer, id, stream, query);
      if (stream !== undefined && more === "search")
        return jsonReply(await search(viewer, id, stream, query));
      if (depth > 4 || (part !== undefined && part !== "events")) return undefined;
      allowOnly(query, []);
      const job = await viewer.job(id);
      if (part === undefined) return jsonReply(await viewOf(viewer, job));
      return events((listener) => changes.followJob(listener, id));
    }
    if (what === "keys" && depth === 3) return jsonReply(await key(viewer, id!, query));
    if (depth !== 2) return undefined;
    if (what === "keys") return jsonReply(await keys(viewer, query));
    if (what === "timeline") return jsonReply(await timeline(viewer, query));
    if (what !== "overview" && what !== "fleet" && what !== "events") return undefined;
    allowOnly(query, []);
    if (what === "overview") return jsonReply(await overview(viewer, version));
    if (what === "fleet") return jsonReply(await readFleet(context, viewer));
    return events((listener) => changes.followAll(listener));
  };

  return async (question) => {
    if (question.path[0] === "api") return ofApi(question);
    const file = page.get(`/${question.path.join("/")}`);
    if (file === undefined) return undefined;
    const isDocument = question.path[0] === "";
    return {
      status: 200,
      headers: { "Content-Type": file.type, "Cache-Control": isDocument ? "no-store" : FOR_EVER },
      body: file.text,
    };
  };
}

function events(listen: Extract<Reply["body"], { listen: unknown }>["listen"]): Reply {
  return { status: 200, headers: {}, body: { listen } };
}

/** As `fleet status`. Throws `not-found` if the state directory is in none. */
async function readFleet(context: Context, viewer: Viewer): Promise<unknown> {
  if (!isThere(context.home.fleet))
    throw new OrchesjobError("not-found", `the state directory ${context.home.path} is in no fleet`);
  const { membership, registry } = (await context.openFleet()) as FleetMember;
  const publications = await (await viewer.open())?.publications();
  return fleetView({
    membership,
    registry: await registry.describe(),
    members: await registry.members(),
    unpublished: (await publications?.count()) ?? 0,
  });
}
