/** The connection to PostgreSQL: what steers the client is fixed here, and every question has a deadline of its own. */
import type { SQL } from "bun";
import type { Functions } from "../functions.ts";
import { debug } from "../../state/debug.ts";
import type { Address } from "./address.ts";
import { listen } from "./listen.ts";
import { isConnectionLost, isRefusedLogin, translate, unreachable } from "./errors.ts";

const DEADLINE_MS = 5_000;

export interface ConnectionOptions {
  readonly address: Address;
  /** Asked for each connection: it may change while an agent runs. */
  readonly findPassword: () => string;
  /** How long a question may take, the connection included, in ms. */
  readonly deadlineMs?: number;
}

export class Connection implements Functions {
  readonly address: Address;
  readonly #findPassword: () => string;
  readonly #deadlineMs: number;
  #sql: SQL | undefined;

  constructor({ address, findPassword, deadlineMs = DEADLINE_MS }: ConnectionOptions) {
    this.address = address;
    this.#findPassword = findPassword;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Asks one question. If the connection was lost, asks once more: every question is safe to repeat. Throws OrchesjobError:
   * `locked` if there is no answer in time; the question may have been executed all the same.
   */
  async ask<T>(question: (sql: SQL) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#askOnce(question);
      } catch (error) {
        // The next question connects anew, with the password that is there then.
        if (isRefusedLogin(error)) await this.close();
        if (tries > 1 || !isConnectionLost(error)) throw translate(error, this.address);
        debug?.note("lost the connection to the registry: asks again");
        await this.close();
      }
    }
  }

  async call(name: string, values: readonly unknown[]): Promise<any> {
    const places = values.map((_, index) => `$${index + 1}`).join(", ");
    const [row] = await this.ask((sql) =>
      sql.unsafe(`select orchesjob.${name}(${places}) as answer`, [...values]),
    );
    return row.answer;
  }

  async listen(name: string, callback: () => void): Promise<boolean> {
    return listen(this, name, callback);
  }

  async #askOnce<T>(question: (sql: SQL) => Promise<T>): Promise<T> {
    const sql = this.open();
    const { promise: late, reject } = Promise.withResolvers<never>();
    // The client waits for a silent server for ever; statement_timeout does not help if nothing comes through.
    const timer = setTimeout(() => {
      reject(unreachable(this.address.place, `no answer within ${this.#deadlineMs / 1000} s`));
      void this.close();
    }, this.#deadlineMs);
    const answer = question(sql);
    // After the deadline nobody waits for it.
    answer.catch(() => undefined);
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The client. It connects with the first question. */
  open(): SQL {
    if (this.#sql === undefined) {
      fixEnvironment();
      const { url, database, user } = this.address;
      const complete = new URL(url);
      const password = this.#findPassword();
      complete.password = encodeURIComponent(password);
      // Not imported: naming it loads the client, which takes some ms.
      this.#sql = new Bun.SQL(complete.href, {
        database,
        username: user,
        password,
        max: 1,
        // A pooler in transaction mode would run other clients' prepared statements.
        prepare: false,
        connectionTimeout: this.#deadlineMs / 1000,
      });
    }
    return this.#sql;
  }

  async close(): Promise<void> {
    const sql = this.#sql;
    this.#sql = undefined;
    try {
      await sql?.close({ timeout: 0 });
    } catch (error) {
      debug?.note("cannot close the connection to the registry", error);
    }
  }
}

/**
 * Takes away what the client would read beside its URL: another database (PGDATABASE), settings (PGOPTIONS), no verification
 * (NODE_TLS_REJECT_UNAUTHORIZED). The C library's environment, which commands inherit, is not changed by that.
 */
function fixEnvironment(): void {
  for (const name of Object.keys(process.env))
    if (name.startsWith("PG") || name === "NODE_TLS_REJECT_UNAUTHORIZED") delete process.env[name];
  // The client reports a lost listener there by itself.
  console.warn = (message: unknown) => debug?.note(String(message));
}
