import { spawn } from "node:child_process";
import { ensureGoProgram } from "../../hack/cluster/go-program.ts";
import type { GoProgram } from "../../hack/cluster/go-program.ts";

const program: GoProgram = {
  name: "oracle",
  title: "the Go oracle",
  folder: import.meta.dirname,
  package: ".",
  ldflags: "-s -w",
};
let built: Promise<string> | undefined;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function execute(command: string, args: readonly string[], stdin: string | Uint8Array): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on("error", () => {});
    child.stdin.end(stdin);
  });
}

/**
 * Asks Go: subcommands `certificate` (PEM in; flags `-ca file`, `-usage client|server|any`, `-at unix`), `request` (PEM in), `der` (JSON list
 * of hex in), `handshake` (JSON in) and `dial` (CA PEM in; flags `-address`, `-url`, `-min`, `-max`). Answers the parsed
 * JSON; throws with Go's error text.
 */
export async function runOracle(args: readonly string[], stdin: string | Uint8Array): Promise<unknown> {
  const { code, stdout, stderr } = await execute(await (built ??= ensureGoProgram(program)), args, stdin);
  if (code !== 0) {
    throw new Error(stderr.trim());
  }
  return JSON.parse(stdout);
}

/** The answer of `runOracle(["certificate", ...])`. */
export interface OracleCertificate {
  readonly subjectHex: string;
  readonly issuerHex: string;
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** `tag` is the string type's ASN.1 tag number. */
  readonly rdns: readonly (readonly {
    readonly type: string;
    readonly tag: number;
    readonly value: string;
  }[])[];
  readonly serialHex: string;
  readonly serialSign: number;
  readonly notBeforeUnix: number;
  readonly notAfterUnix: number;
  /** Go's `x509.ExtKeyUsage`: 1 serverAuth, 2 clientAuth. */
  readonly extKeyUsage: readonly number[];
  readonly isCA: boolean;
  readonly basicConstraintsValid: boolean;
  /** Go's `x509.KeyUsage` bits: 1 digitalSignature, 32 certSign. */
  readonly keyUsage: number;
  readonly authorityKeyIdHex: string;
  readonly subjectKeyIdHex: string;
  readonly signatureAlgorithm: string;
  readonly publicKeyAlgorithm: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly extensions: readonly { readonly id: string; readonly critical: boolean }[];
  readonly sha256Hex: string;
  readonly verifyError?: string;
}

/** Go's reading of one PEM certificate. */
export async function oracleCertificate(
  pem: string,
  ...flags: readonly string[]
): Promise<OracleCertificate> {
  return (await runOracle(["certificate", ...flags], pem)) as OracleCertificate;
}

/** Go's reading of one PEM certification request; throws with Go's error when it does not parse. */
export async function oracleCertificationRequest(pem: string): Promise<{
  readonly commonName: string;
  readonly organizations: readonly string[] | null;
  readonly subjectHex: string;
  /** The subject as Go writes it again. */
  readonly rewrittenHex: string;
  readonly publicKeyInfoHex: string;
  readonly signatureAlgorithm: string;
  readonly signatureError?: string;
}> {
  return (await runOracle(["request"], pem)) as Awaited<ReturnType<typeof oracleCertificationRequest>>;
}
