import type { HttpAnswer, HttpRequest } from "./http-client.ts";

const WITHOUT_BODY = new Set([204, 205, 304]);

/** `fetch` for libraries, by the calls of this client: no redirects are followed, and bodies are texts. */
export function createFetch(send: (request: HttpRequest) => Promise<HttpAnswer>): typeof globalThis.fetch {
  return async (input, init) => {
    const source = input instanceof Request ? input : undefined;
    const url = input instanceof Request ? input.url : input instanceof URL ? input.href : input;
    const headers: Record<string, string> = {};
    new Headers(init?.headers ?? source?.headers).forEach((value, name) => {
      headers[name] = value;
    });
    const body = await textOf(init?.body ?? undefined, source, headers);
    const signal = init?.signal ?? source?.signal;
    const answer = await send({
      method: init?.method ?? source?.method ?? "GET",
      url,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined || signal === null ? {} : { signal }),
    });
    return new Response(WITHOUT_BODY.has(answer.status) ? null : answer.body, {
      status: answer.status,
      statusText: answer.statusLine.replace(/^\d+ ?/, ""),
      headers: { ...answer.headers },
    });
  };
}

async function textOf(
  body: unknown,
  source: Request | undefined,
  headers: Record<string, string>,
): Promise<string | undefined> {
  if (body instanceof URLSearchParams) {
    headers["content-type"] ??= "application/x-www-form-urlencoded;charset=UTF-8";
    return body.toString();
  }
  if (typeof body === "string") {
    return body;
  }
  if (body !== undefined) {
    throw new TypeError("only texts and forms can be sent");
  }
  return source === undefined || source.body === null ? undefined : source.text();
}
