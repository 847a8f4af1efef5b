// Conversations as files. Nothing is kept here: they go from the daemon into the download.

import { toJson } from "@bufbuild/protobuf";
import { conversations } from "../api/daemon";
import { isSaid, textOf } from "../chat/conversation";
import { type ExportConversationsResponse, ExportConversationsResponseSchema } from "../gen/edged/v1/conversation_pb";
import { Role } from "../gen/edged/v1/message_pb";

export type ExportFormat = "json" | "markdown";

const TYPES = { json: "application/json", markdown: "text/markdown" } as const;
const ENDINGS = { json: "json", markdown: "md" } as const;

/** Download these conversations, all of them where none is named. Throws ConnectError. */
export async function download(conversationIds: readonly string[], format: ExportFormat): Promise<void> {
  const exported: ExportConversationsResponse[] = [];
  for await (const one of conversations.exportConversations({ conversationIds: [...conversationIds] })) {
    exported.push(one);
  }
  const text = format === "json" ? asJson(exported) : asMarkdown(exported);
  const url = URL.createObjectURL(new Blob([text], { type: `${TYPES[format]};charset=utf-8` }));
  const link = Object.assign(document.createElement("a"), {
    href: url,
    download: `${nameOf(exported)}.${ENDINGS[format]}`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // some browsers read it after the click
}

/** A list of conversations in the JSON form of protobuf; pictures are in base64. */
export function asJson(exported: readonly ExportConversationsResponse[]): string {
  return `${JSON.stringify(
    exported.map((one) => toJson(ExportConversationsResponseSchema, one)),
    null,
    2,
  )}\n`;
}

/** What was said, without pictures. */
export function asMarkdown(exported: readonly ExportConversationsResponse[]): string {
  return exported
    .map(({ conversation, messages }) => {
      const said = messages
        .filter(isSaid)
        .map(({ role, parts }) => `**${role === Role.USER ? "User" : "Assistant"}**\n\n${textOf(parts)}\n`);
      return [`# ${conversation?.title || "Untitled"}\n`, ...said].join("\n");
    })
    .join("\n");
}

/** A file name that every system takes. */
function nameOf(exported: readonly ExportConversationsResponse[]): string {
  const title = exported.length === 1 ? (exported[0]?.conversation?.title ?? "") : "";
  const safe = title
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 60);
  return safe || "edged-conversations";
}
