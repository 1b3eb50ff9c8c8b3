import { goQuote } from "../../go-text.ts";
import type { UpstreamChoice } from "./exec-arguments.ts";
import { listIn, textIn } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/** An upstream identity provider, as a Supervisor lists it (contract cli.md 2.5). */
export interface Upstream {
  readonly name: string;
  readonly type: string;
  readonly flows: readonly string[];
}

/** The providers in a Supervisor's discovery document. */
export function upstreamsIn(document: unknown): readonly Upstream[] {
  return listIn(document, "pinniped_identity_providers").map((item) => ({
    name: textIn(item, "name"),
    type: textIn(item, "type"),
    flows: listIn(item, "flows").filter((flow): flow is string => typeof flow === "string"),
  }));
}

/** What the flags and the Supervisor's list come to; `otherFlows` is set when the first of several was taken. */
export interface ChosenUpstream extends UpstreamChoice {
  readonly otherFlows?: readonly string[];
}

/**
 * Picks a provider and a flow (contract cli.md 2.5 step 5).
 *
 * @throws CommandError `cli.upstream-choice`
 */
export function chooseUpstream(upstreams: readonly Upstream[], flags: UpstreamChoice): ChosenUpstream {
  if (upstreams.length === 0) {
    return flags;
  }
  const { name, type, flows } = chooseProvider(upstreams, flags);
  if (flags.flow !== "" && flows.length > 0 && !flows.includes(flags.flow)) {
    throw refused(
      `no client flow ${goQuote(flags.flow)} for Supervisor upstream identity provider ${goQuote(name)} of type ${goQuote(type)} were found. Found these flows: [${flows.join(" ")}]`,
    );
  }
  if (flags.flow !== "" || flows.length === 0) {
    return { name, type, flow: flags.flow };
  }
  return { name, type, flow: flows[0] ?? "", ...(flows.length > 1 ? { otherFlows: flows } : {}) };
}

function chooseProvider(upstreams: readonly Upstream[], { name, type }: UpstreamChoice): Upstream {
  const found = upstreams.filter(
    (upstream) => (name === "" || upstream.name === name) && (type === "" || upstream.type === type),
  );
  const [first] = found;
  // Name and type are one upstream's; a list that holds the pair twice says the same twice.
  if (first !== undefined && (found.length === 1 || (name !== "" && type !== ""))) {
    return first;
  }
  const wanted = [
    ...(name === "" ? [] : [`with name ${goQuote(name)}`]),
    ...(type === "" ? [] : [`of type ${goQuote(type)}`]),
    "were found",
  ].join(" ");
  const foundThese = `Found these upstreams: ${upstreamsText(upstreams)}`;
  if (first === undefined) {
    throw refused(`no Supervisor upstream identity providers ${wanted}. ${foundThese}`);
  }
  const missingFlags = [
    ...(name === "" ? ["--upstream-identity-provider-name"] : []),
    ...(type === "" ? ["--upstream-identity-provider-type"] : []),
  ];
  throw refused(
    `multiple Supervisor upstream identity providers ${wanted}, so the ${missingFlags.join("/")} ${missingFlags.length > 1 ? "flags" : "flag"} must be specified. ${foundThese}`,
  );
}

/** Compact JSON as Go writes it: `flows` only where there are any. */
function upstreamsText(upstreams: readonly Upstream[]): string {
  const shown = upstreams.map(({ name, type, flows }) => ({
    name,
    type,
    ...(flows.length === 0 ? {} : { flows }),
  }));
  return JSON.stringify(shown).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function refused(message: string): Error {
  return failure("cli.upstream-choice", message);
}
