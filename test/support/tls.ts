/** Certificates of a test's own authority, made by openssl. */
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Makes the authority `NAME.pem`; returns the path of its certificate. */
export async function makeAuthority(box: Sandbox, name: string): Promise<string> {
  const path = join(box.directory, name);
  await openssl(
    box,
    ["req", "-x509", ...KEY, "-days", "1", "-subj", `/CN=${name}`],
    ["-keyout", `${path}.key`, "-out", `${path}.pem`],
  );
  return `${path}.pem`;
}

/** Makes a certificate for a host, signed by an authority of this sandbox: `HOST.crt` and `HOST.key`. */
export async function makeCertificate(
  box: Sandbox,
  host: string,
  authority: string,
): Promise<{ certificate: string; key: string }> {
  const [path, signer] = [join(box.directory, host), join(box.directory, authority)];
  await openssl(
    box,
    ["req", ...KEY, "-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`],
    ["-keyout", `${path}.key`, "-out", `${path}.csr`],
  );
  await openssl(
    box,
    ["x509", "-req", "-in", `${path}.csr`, "-CA", `${signer}.pem`, "-CAkey", `${signer}.key`],
    ["-CAcreateserial", "-copy_extensions", "copy", "-days", "1", "-out", `${path}.crt`],
  );
  return { certificate: `${path}.crt`, key: `${path}.key` };
}

async function openssl(box: Sandbox, ...words: readonly (readonly string[])[]): Promise<void> {
  const { code, stderr } = await box.execute(["openssl", ...words.flat()]);
  if (code !== 0) throw new Error(stderr);
}
