/**
 * doctor's checks of a state directory that is in a fleet: its membership, the registry, the lease, what was not published yet.
 * Loaded only if there is a `fleet.json`. It asks the registry directly, not through the agent, and every question has its
 * deadline; after the first one without an answer, the other checks are skipped.
 */
import { connectionOf } from "../fleet/postgres/connect.ts";
import { PostgresRegistry } from "../fleet/postgres/registry.ts";
import { readMembership } from "../fleet/membership.ts";
import { Session } from "../fleet/session.ts";
import { now } from "../linux/clock.ts";
import { type CheckContext, skipped } from "./check-context.ts";
import { type Finding } from "./finding.ts";
import { checkAgent, checkChanges } from "./fleet-agent.ts";
import { checkFile } from "./fleet-file.ts";
import type { RegistryAnswer } from "./fleet-registry.ts";
import * as registry from "./fleet-registry.ts";

/** How often to ask for the latency, after the connection is there. */
const LATENCY_QUESTIONS = 3;

export interface FleetChecks {
  readonly checks: Readonly<Record<string, () => Finding | Promise<Finding>>>;
  /** Ends the connection. */
  end(): Promise<void>;
}

export function fleetChecks(checkContext: CheckContext): FleetChecks {
  const { home } = checkContext;
  let asked: Promise<RegistryAnswer> | undefined;
  const ask = () => (asked ??= askRegistry(checkContext));
  /** A check that needs the answer of the registry. */
  const needing =
    (check: (answer: RegistryAnswer, checkContext: CheckContext) => Finding | Promise<Finding>) =>
    async (): Promise<Finding> => {
      let answer: RegistryAnswer;
      try {
        answer = await ask();
      } catch {
        return skipped("the registry cannot be asked");
      }
      return check(answer, checkContext);
    };
  return {
    checks: {
      fleet_file: () => checkFile(home),
      // Reports why it cannot be asked.
      fleet_registry: async () => registry.checkAnswer(await ask()),
      fleet_rights: needing(registry.checkRights),
      fleet_tls: needing(registry.checkEncryption),
      fleet_server: needing(registry.checkServer),
      fleet_clock: needing(registry.checkClocks),
      fleet_notify: needing(registry.checkNotifications),
      fleet_member: needing(registry.checkMember),
      fleet_agent: () => checkAgent(checkContext),
      fleet_changes: () => checkChanges(checkContext),
    },
    async end() {
      const answer = await asked?.catch(() => undefined);
      await answer?.registry.disconnect();
    },
  };
}

async function askRegistry({ home, context: { origin } }: CheckContext): Promise<RegistryAnswer> {
  const membership = readMembership(home);
  // These questions do not say which version asks.
  const session = new Session(home, membership, origin, "");
  const registry = new PostgresRegistry(connectionOf(membership), session);
  try {
    const start = performance.now();
    let facts = await registry.describe();
    const connectMs = performance.now() - start;
    let [latencyMs, aheadMs] = [Number.POSITIVE_INFINITY, 0];
    for (let count = 0; count < LATENCY_QUESTIONS; count++) {
      const askedAt = performance.now();
      facts = await registry.describe();
      const ms = performance.now() - askedAt;
      if (ms >= latencyMs) continue;
      latencyMs = ms;
      aheadMs = (facts.now - now()) / 1000 + ms / 2;
    }
    return { registry, facts, connectMs, latencyMs, aheadMs };
  } catch (error) {
    await registry.disconnect();
    throw error;
  }
}
