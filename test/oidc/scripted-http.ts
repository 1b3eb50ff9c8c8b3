import type {
  OutboundHttp,
  OutboundRequest,
  OutboundResponse,
} from "../../src/concierge/authenticators/outbound-http.ts";
import { OutboundError } from "../../src/concierge/authenticators/outbound-http.ts";

/** What one address answers: JSON, a status with text, or no answer at all. */
export type ScriptedAnswer =
  | { readonly json: unknown }
  | { readonly status: number; readonly text: string }
  | { readonly failure: string };

/** An `OutboundHttp` without a network; addresses that are not known answer 404. */
export interface ScriptedHttp extends OutboundHttp {
  readonly requests: OutboundRequest[];
  answer(url: string, answer: ScriptedAnswer | (() => ScriptedAnswer | Promise<ScriptedAnswer>)): void;
}

export function createScriptedHttp(): ScriptedHttp {
  const answers = new Map<string, ScriptedAnswer | (() => ScriptedAnswer | Promise<ScriptedAnswer>)>();
  const requests: OutboundRequest[] = [];
  return {
    requests,
    answer: (url, answer) => answers.set(url, answer),
    send: async (message) => {
      requests.push(message);
      const found = answers.get(message.url.href) ?? { status: 404, text: "no" };
      const answer = typeof found === "function" ? await found() : found;
      if ("failure" in answer) {
        throw new OutboundError(`Get "${message.url.href}": ${answer.failure}`);
      }
      const status = "json" in answer ? 200 : answer.status;
      const response: OutboundResponse = {
        status,
        statusLine: `${status} ${status === 200 ? "OK" : "Failed"}`,
        contentType: "application/json",
        retryAfter: undefined,
        body: Buffer.from("json" in answer ? JSON.stringify(answer.json) : answer.text),
      };
      return response;
    },
    close: () => {},
  };
}
