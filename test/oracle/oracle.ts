import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const SOURCE = import.meta.dirname;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function execute(
  command: string,
  args: readonly string[],
  stdin: string | Uint8Array,
  cwd?: string,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, cwd === undefined ? {} : { cwd });
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

let built: Promise<string> | undefined;

/** Builds the Go oracle once per state of its source and answers the binary's path. */
function oracleBinary(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const files = (await readdir(SOURCE))
    .filter((name) => name.endsWith(".go") || name === "go.mod")
    .toSorted();
  const digest = createHash("sha256");
  for (const name of files) {
    digest
      .update(name)
      .update("\0")
      .update(await readFile(join(SOURCE, name)))
      .update("\0");
  }
  const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "lanyard");
  const binary = join(folder, `oracle-${digest.digest("hex").slice(0, 16)}`);
  if (existsSync(binary)) {
    return binary;
  }
  await mkdir(folder, { recursive: true });
  // Test files run in parallel processes: each builds its own file, and the last rename wins.
  const own = `${binary}.${process.pid}`;
  let outcome: Outcome;
  try {
    outcome = await execute("go", ["build", "-trimpath", "-o", own, "."], "", SOURCE);
  } catch (error) {
    throw new Error("the Go oracle needs the go command: install golang", { cause: error });
  }
  if (outcome.code !== 0) {
    throw new Error(`the Go oracle does not build: ${outcome.stderr}`);
  }
  await rename(own, binary);
  return binary;
}

/**
 * Asks Go: subcommands `certificate` (PEM in; flags `-ca file`, `-usage client|server|any`, `-at unix`), `der` (JSON list
 * of hex in), `handshake` (JSON in) and `dial` (CA PEM in; flags `-address`, `-url`, `-min`, `-max`). Answers the parsed
 * JSON; throws with Go's error text.
 */
export async function runOracle(args: readonly string[], stdin: string | Uint8Array): Promise<unknown> {
  const { code, stdout, stderr } = await execute(await oracleBinary(), args, stdin);
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
