/** The URL of the registry, and the password for it. */
import { expect, test } from "bun:test";
import { findInPasswordFile, parseAddress } from "../../src/fleet/postgres/address.ts";

test("a URL names user, host, port and database; the password is kept out of what is shown", () => {
  const address = parseAddress("postgresql://anna:se%3Acr%40et@db.example.com:5433/fleet?sslmode=require");
  expect(address).toMatchObject({
    ...{ user: "anna", database: "fleet", host: "db.example.com", port: "5433", password: "se:cr@et" },
    ...{ place: "db.example.com:5433/fleet", isVerified: false, isSocket: false },
  });
  expect(address.url + address.place).not.toContain("cr");
});

test("a Unix socket is a directory after host=", () => {
  const address = parseAddress("postgres://anna@localhost/fleet?host=/run/postgresql&port=5434");
  expect(address).toMatchObject({ place: "/run/postgresql/.s.PGSQL.5434/fleet", isSocket: true });
});

test.each([
  ["not a URL", "is not valid"],
  ["postgresql://u:100%@h/d", "is not valid"],
  ["mysql://u@h/d", 'begins with "mysql:"'],
  ["postgresql://h/d", "names no user"],
  ["postgresql://u@h", "names no database"],
  ["postgresql://u@h/d?sslmode=on", "sslmode=on is not known"],
  ["postgresql://u@h/d?sslmode=verify-full", "needs sslrootcert"],
  ["postgresql://u@h/d?sslmode=verify-full&sslrootcert=/nowhere", "is not a file"],
  ["postgresql://u@h/d?passfile=/x", 'the parameter "passfile"'],
  ["postgresql://u@h/d?host=other", "directory of a Unix socket"],
])("%s is refused", (url, message) => {
  expect(() => parseAddress(url)).toThrow(message);
});

test("the first line of a password file that fits gives the password", () => {
  const place = { host: "h", port: "5432", database: "d", user: "u", isSocket: false };
  const lines = ["# h:5432:d:u:comment", "other:5432:d:u:one", "h:*:d:u:t\\:w\\\\o", "*:*:*:*:three"].join(
    "\n",
  );
  expect(findInPasswordFile(lines, place)).toBe("t:w\\o");
  expect(findInPasswordFile(lines, { ...place, user: "v" })).toBe("three");
  expect(findInPasswordFile("h:5432:d:v:no", place)).toBeUndefined();
  expect(findInPasswordFile("localhost:5432:d:u:yes", { ...place, host: "/run", isSocket: true })).toBe(
    "yes",
  );
});
