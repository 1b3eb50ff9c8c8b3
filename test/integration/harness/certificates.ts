import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type Caller, readText } from "./http.ts";

export interface KeyPairPaths {
  readonly cert: string;
  readonly key: string;
}

/** Certificates that openssl makes, so that nothing of ours judges its own work. */
export interface TestPki {
  authority(commonName: string): KeyPairPaths;
  /** `subject` in openssl's form: `/O=group/CN=user`. */
  clientCertificate(authority: KeyPairPaths, subject: string): Caller;
}

let serial = 0;

export function createTestPki(folder: string): TestPki {
  const paths = (): KeyPairPaths => {
    serial += 1;
    return { cert: join(folder, `${serial}.crt`), key: join(folder, `${serial}.key`) };
  };
  const request = (subject: string, more: readonly string[], { cert, key }: KeyPairPaths): void =>
    openssl([
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-days", "1", "-subj", subject, "-keyout", key, "-out", cert],
      ...more,
    ]);
  return {
    authority: (commonName) => {
      const made = paths();
      request(`/CN=${commonName}`, ["-addext", "basicConstraints=critical,CA:TRUE"], made);
      return made;
    },
    clientCertificate: (authority, subject) => {
      const made = paths();
      request(
        subject,
        [
          ...["-CA", authority.cert, "-CAkey", authority.key],
          ...["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"],
        ],
        made,
      );
      return { certificatePem: readText(made.cert), privateKeyPem: readText(made.key) };
    },
  };
}

function openssl(args: readonly string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) {
    throw new Error(`openssl ${args[0] ?? ""}: ${stderr}`);
  }
}
