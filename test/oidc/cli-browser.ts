import { Agent, request } from "undici";

/**
 * A person with a browser: follows redirects with cookies, fills in the forms on the way and answers the text of the page where there
 * is nothing more to do.
 */
export async function browse(
  start: string,
  options: { readonly caPem: string; readonly fields: Readonly<Record<string, string>> },
): Promise<{ readonly url: string; readonly status: number; readonly text: string }> {
  const agent = new Agent({ allowH2: false, connect: { ca: options.caPem } });
  const cookies = new Map<string, string>();
  let url = new URL(start);
  let form: URLSearchParams | undefined;
  try {
    for (let step = 0; step < 20; step++) {
      const answer = await request(url, {
        dispatcher: agent,
        method: form === undefined ? "GET" : "POST",
        headers: {
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
          ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
        },
        body: form?.toString() ?? null,
      });
      for (const cookie of [answer.headers["set-cookie"] ?? []].flat()) {
        const pair = /^(?<name>[^=;]+)=(?<value>[^;]*)/.exec(cookie)?.groups;
        cookies.set(pair?.["name"] ?? "", pair?.["value"] ?? "");
      }
      const text = await answer.body.text();
      const { location } = answer.headers;
      if (typeof location === "string") {
        url = new URL(location, url);
        form = undefined;
        continue;
      }
      const page = /<form[^>]*method="post"[^>]*>[^]*<\/form>/i.exec(text)?.[0];
      if (page === undefined) {
        return { url: url.href, status: answer.statusCode, text };
      }
      const action = /<form[^>]*action="(?<action>[^"]*)"/i.exec(page)?.groups?.["action"] ?? "";
      form = new URLSearchParams();
      for (const [input] of page.matchAll(/<input[^>]*>/gi)) {
        const name = /name="(?<name>[^"]*)"/.exec(input)?.groups?.["name"] ?? "";
        const value = /value="(?<value>[^"]*)"/.exec(input)?.groups?.["value"] ?? "";
        form.set(name, options.fields[name] ?? unescape(value));
      }
      url = new URL(unescape(action), url);
    }
    throw new Error(`the login goes in circles at ${url.pathname}`);
  } finally {
    await agent.close();
  }
}

function unescape(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&#x27;", "'")
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
