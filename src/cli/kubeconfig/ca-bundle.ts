import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { base64ErrorOffset, goQuote } from "../../go-text.ts";
import { decodePem } from "../../pki/pem.ts";
import { fileErrorText } from "./file-error.ts";
import { failure } from "./visible-text.ts";

/** How many certificates a bundle holds that can be read as such. */
export function countCertificates(pem: string): number {
  return decodePem(pem).filter(({ type, bytes }) => type === "CERTIFICATE" && isCertificate(bytes)).length;
}

function isCertificate(der: Buffer): boolean {
  try {
    return new X509Certificate(der).raw.length > 0;
  } catch {
    return false;
  }
}

/**
 * Reads the files of a flag such as `--concierge-ca-bundle` and joins them with a line break (contract cli.md 2.1). Absent when
 * none was named. Reads nothing but these paths.
 *
 * @throws CommandError `cli.ca-bundle-unreadable`, as a parser of flags would say it
 */
export async function readCaBundleFlag(flag: string, paths: readonly string[]): Promise<string | undefined> {
  const texts: string[] = [];
  for (const path of paths) {
    const refuse = (why: string, cause?: unknown): never => {
      throw failure(
        "cli.ca-bundle-unreadable",
        `invalid argument ${goQuote(path)} for "--${flag}" flag: ${why}`,
        cause,
      );
    };
    const text = await readFile(path, "utf8").catch((error: unknown) =>
      refuse(`could not read CA bundle path: ${fileErrorText("open", path, error)}`, error),
    );
    if (countCertificates(text) === 0) {
      refuse(`failed to load any CA certificates from ${goQuote(path)}`);
    }
    texts.push(text);
  }
  return texts.length === 0 ? undefined : texts.join("\n");
}

/** Base64 as Go's decoder reads it, or what that decoder would say. */
export function decodeBase64(text: string): { readonly text: string } | { readonly error: string } {
  const offset = base64ErrorOffset(text);
  return offset === undefined
    ? { text: Buffer.from(text, "base64").toString("utf8") }
    : { error: `illegal base64 data at input byte ${offset}` };
}

export function encodeBase64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
