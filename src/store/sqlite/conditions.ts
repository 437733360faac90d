/** Collects the conditions of a statement: only those that are needed, so that SQLite can choose the index that serves them. */
import type { FinishedFilter, JobFilter } from "../store.ts";
import { quote } from "./queries.ts";
import type { Bindings } from "./session.ts";

export class Conditions {
  readonly texts: string[] = [];
  readonly bindings: Bindings = {};

  add(text: string, bindings: Bindings = {}): void {
    this.texts.push(text);
    Object.assign(this.bindings, bindings);
  }

  require({ statuses, labels }: JobFilter): void {
    if (statuses.length > 0) this.add(`status in (${quote(statuses)})`);
    let number = 0;
    for (const [name, value] of labels) {
      number += 1;
      // Somebody may have edited the column by hand: JSON that is damaged has no labels.
      this.add(`iif(json_valid(labels), labels ->> $label${number}, null) = $value${number}`, {
        [`label${number}`]: `$."${name}"`,
        [`value${number}`]: value,
      });
    }
  }

  requireFinished(filter: FinishedFilter): void {
    this.require(filter);
    const { since, oneOf } = filter;
    if (since !== undefined) this.add("coalesce(finished_at, started_at) >= $since", { since });
    if (oneOf === undefined) return;
    this.add(
      `seq in (select seq from job_records where job_id in (select value from json_each($jobIds))
        union select seq from job_records where run_key in (select value from json_each($runKeys)))`,
      { jobIds: JSON.stringify(oneOf.jobIds), runKeys: JSON.stringify(oneOf.runKeys) },
    );
  }
}
