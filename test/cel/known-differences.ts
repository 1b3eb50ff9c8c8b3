import type { OracleAnswer } from "../cel-oracle/cel-oracle.ts";
import type { EngineAnswer } from "./judge.ts";

const noMessages =
  "there are no message types here: Kubernetes' user is data, and protocol buffers are not offered";

/** Expressions of the corpus that we answer otherwise than cel-go, with the reason. The test fails when one is gone. */
export const knownInCorpus: ReadonlyMap<string, string> = new Map([
  ["{b'a': 1}", "cel-go panics: bytes cannot be a key of a Go map"],
  ["'ab'.matches('(?P<x>a)(?P<x>b)')", "two groups of one name: refused by RE2, not by this Go"],
  ["google.protobuf.Struct{}", noMessages],
  ["kubernetes.UserInfo", noMessages],
  ["kubernetes.UserInfo{}", noMessages],
  ['kubernetes.UserInfo{username: "a"}', noMessages],
  ['kubernetes.UserInfo{nope: "a"}', noMessages],
  ["type(user)", noMessages],
]);

/** The reason why a generated expression may be answered otherwise, or nothing. */
export function knownDifference(theirs: OracleAnswer, ours: EngineAnswer): string | undefined {
  if (theirs.panic !== undefined) {
    return "cel-go panics";
  }
  if (ours.issues?.some(({ message }) => kubernetesTypeName.test(message)) === true) {
    return "Kubernetes' type provider knows its own names of types, which it does not mean to offer";
  }
  if (theirs.programError?.startsWith(badIndex) === true) {
    return "a constant index of a type that indexes nothing: cel-go refuses it before it runs, we when it is reached";
  }
  if (theirs.evaluationError?.startsWith(badIndex) === true && ours.evaluationError !== undefined) {
    return "an index of a type that indexes nothing: cel-go shows the name of a Go type";
  }
  return undefined;
}

const badIndex = "invalid qualifier type: ";
const kubernetesTypeName = /^undeclared reference to '(duration|timestamp|date|object|any)' /;
