/** A fenced block (CommonMark section 4.5). */
export interface FencedBlock {
  readonly file: string;
  /** Of its opening fence, from 1. */
  readonly line: number;
  /** Everything behind the fence. */
  readonly info: string;
  /** The first word of it. */
  readonly language: string;
  /** The rest of it. */
  readonly title: string;
  readonly content: string;
}

export function fencedBlocks(file: string, text: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const opening = /^(?<indentation> {0,3})(?<fence>`{3,}|~{3,})\s*(?<info>.*)$/.exec(
      lines[index] ?? "",
    )?.groups;
    if (opening === undefined) {
      continue;
    }
    const fence = opening["fence"] ?? "";
    const indentation = new RegExp(`^ {0,${opening["indentation"]?.length ?? 0}}`);
    const info = (opening["info"] ?? "").trim();
    const line = index + 1;
    const content: string[] = [];
    for (index += 1; index < lines.length && !(lines[index] ?? "").trim().startsWith(fence); index++) {
      content.push((lines[index] ?? "").replace(indentation, ""));
    }
    const [language = "", ...title] = info.split(/\s+/);
    blocks.push({ file, line, info, language, title: title.join(" "), content: content.join("\n") });
  }
  return blocks;
}

/** Relative targets of links and images, and those within the page, without those in code. */
export function relativeLinks(text: string): string[] {
  return [...prose(text).matchAll(/\]\((?<target>[^)\s]+)(?:\s+"[^"]*")?\)/g)]
    .map((match) => match.groups?.["target"] ?? "")
    .filter((target) => !/^[a-z][a-z+.-]*:/i.test(target));
}

/** What `#...` may name on a page: its headings, as GitHub turns them into anchors. */
export function anchors(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const found = new Set<string>();
  for (const match of withoutFences(text).matchAll(/^ {0,3}#{1,6}\s+(?<heading>.+?)\s*#*\s*$/gm)) {
    const heading = (match.groups?.["heading"] ?? "").replaceAll(
      /\[(?<shown>[^\]]*)\]\([^)]*\)/g,
      "$<shown>",
    );
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}\p{Pc} -]/gu, "")
      .replaceAll(" ", "-");
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    found.add(before === 0 ? slug : `${slug}-${before}`);
  }
  return found;
}

/** What stands between single backticks. */
export function inlineCode(text: string): string[] {
  return [...withoutFences(text).matchAll(/`(?<code>[^`\n]+)`/g)].map(
    (match) => match.groups?.["code"] ?? "",
  );
}

/** The text without code. */
function prose(text: string): string {
  return withoutFences(text).replaceAll(/`[^`\n]*`/g, "");
}

function withoutFences(text: string): string {
  return text.replaceAll(/^ {0,3}(`{3,}|~{3,})[\s\S]*?^ {0,3}\1/gm, "");
}
