import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

/** A person's browser. */
export interface LoginBrowser {
  /** Visits a login URL, fills in the form and answers once the page shows what became of it. */
  logIn(url: URL, user: { readonly username: string; readonly password?: string }): Promise<LoginOutcome>;
  /** A page of a person who has not logged in anywhere. */
  withPage<T>(work: (page: Page) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** The last page's title, URL and text. */
export interface LoginOutcome {
  readonly title: string;
  readonly url: string;
  readonly text: string;
}

export interface LoginBrowserOptions {
  /**
   * `host:port` of servers that Chromium is to take for public ones, so that its rules for public pages that reach for
   * loopback count.
   */
  readonly publicServers?: readonly string[];
  /** Whether the person lets pages reach for local servers when Chromium asks; default true. */
  readonly allowsLocalNetworkAccess?: boolean;
}

/** Of the page, as far as it is looked at: these tests are compiled without a browser's types. */
interface PageGlobals {
  readonly document: {
    readonly title: string;
    readonly readyState: string;
    readonly body: { readonly innerText: string };
  };
  readonly location: { readonly pathname: string };
}

/** Starts the machine's Chromium without a window. */
export async function openLoginBrowser(options: LoginBrowserOptions = {}): Promise<LoginBrowser> {
  const browser: Browser = await chromium.launch({
    executablePath: findChromium(),
    args: [
      // Root may not use the sandbox, and there is nothing foreign to shut in.
      "--no-sandbox",
      "--disable-dev-shm-usage",
      ...(options.publicServers ?? []).map((server) => `--ip-address-space-overrides=${server}=public`),
    ],
  });
  const withPage = async <T>(work: (page: Page) => Promise<T>): Promise<T> => {
    // The tests' authority is none that Chromium knows.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    if (options.allowsLocalNetworkAccess !== false) {
      await context.grantPermissions(["local-network-access"]);
    }
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(20_000);
      return await work(page);
    } finally {
      await context.close();
    }
  };
  return {
    withPage,
    logIn: (url, user) =>
      withPage(async (page) => {
        await page.goto(url.href);
        await page.fill("[name=username]", user.username);
        if ((await page.locator("[name=password]").count()) > 0) {
          await page.fill("[name=password]", user.password ?? "");
        }
        await page.click("button, [type=submit]");
        // The last page of a login is that of the callback listener, or the one that posts to it.
        await page.waitForFunction(() => {
          const { document, location } = globalThis as unknown as PageGlobals;
          const answered = location.pathname === "/callback" && document.readyState === "complete";
          return (
            /succeeded|Finish|Error/.test(document.title) || (answered && document.body.innerText !== "")
          );
        });
        return { title: await page.title(), url: page.url(), text: await page.innerText("body") };
      }),
    close: () => browser.close(),
  };
}

function findChromium(): string {
  const found = (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error("Chromium is missing: install the Debian package chromium");
  }
  return found;
}
