import type { HttpAnswer, HttpClient } from "../http/http-client.ts";
import { loginError } from "./failed-call.ts";

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MAXIMUM_REDIRECTS = 10;

/** A public document of an issuer: no secret goes along, so redirects are followed, as long as they stay on https. */
export async function getDocument(http: HttpClient, url: string, signal: AbortSignal): Promise<HttpAnswer> {
  let next = url;
  for (let redirects = 0; redirects <= MAXIMUM_REDIRECTS; redirects++) {
    const answer = await http.request({
      method: "GET",
      url: next,
      headers: { accept: "application/json" },
      signal,
    });
    const location = answer.headers["location"];
    if (!REDIRECTS.has(answer.status) || location === undefined || !URL.canParse(location, next)) {
      return answer;
    }
    next = new URL(location, next).href;
    if (!next.startsWith("https:")) {
      throw loginError(`redirected to ${new URL(next).protocol}//, which is not https`);
    }
  }
  throw loginError(`stopped after ${MAXIMUM_REDIRECTS} redirects`);
}
