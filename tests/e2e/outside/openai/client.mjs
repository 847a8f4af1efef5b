// The HTTP API through the packages that programs in JavaScript use: node client.mjs tools|rest BASE_URL RECORDING PICTURE
//
// Prints a line of JSON for each thing that works: who did what, and what came of it.
import { readFileSync, createReadStream } from "node:fs";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, cosineSimilarity, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const [what, baseURL, recording, picture] = process.argv.slice(2);
const model = "autoglm-phone-9b";
const hello = [{ role: "user", content: "Say hello." }];
const schema = {
  type: "object",
  properties: { city: { enum: ["Paris", "Rome"] }, people: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "people"],
  additionalProperties: false,
};
const pictureUrl = `data:image/png;base64,${readFileSync(picture).toString("base64")}`;
const sound = readFileSync(recording).toString("base64");

function say(who, what, result) {
  console.log(JSON.stringify([who, what, result]));
}

async function openai() {
  const client = new OpenAI({ baseURL, apiKey: "EMPTY", maxRetries: 0 });
  const chat = (more) => client.chat.completions.create({ model, messages: hello, max_tokens: 8, temperature: 0, ...more });

  const whole = (await chat()).choices[0];
  say("openai", "chat", [whole.message.role, whole.message.content.length > 0, whole.finish_reason]);

  let text = "", usage = null;
  for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  say("openai", "stream", [text.length > 0, usage.completion_tokens]);

  const response_format = { type: "json_schema", json_schema: { name: "place", schema, strict: true } };
  const place = JSON.parse((await chat({ response_format, max_tokens: 40 })).choices[0].message.content);
  say("openai", "json_schema", [Object.keys(place).sort(), schema.properties.city.enum.includes(place.city)]);

  const seen = [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url: pictureUrl } }];
  const before = (await chat()).usage.prompt_tokens;
  say("openai", "image", (await chat({ messages: [{ role: "user", content: seen }] })).usage.prompt_tokens > before);

  const heard = [{ type: "input_audio", input_audio: { data: sound, format: "wav" } }];
  say("openai", "audio", (await chat({ messages: [{ role: "user", content: heard }] })).usage.prompt_tokens > 5);

  const written = await client.audio.transcriptions.create({ model: "whisper-1", file: createReadStream(recording) });
  say("openai", "transcription", written.text);

  const said = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Hello.", response_format: "wav" });
  say("openai", "speech", Buffer.from(await said.arrayBuffer()).subarray(0, 4).toString());

  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  say("openai", "models", names.includes(model));

  const failures = [];
  for (const [what, more] of [["field", { temperature: 9 }], ["model", { model: "none" }]]) {
    const error = await chat(more).catch((refused) => refused);
    failures.push([what, error.constructor.name, error.status, error.param]);
  }
  say("openai", "errors", failures);
}

async function openaiTools() {
  const client = new OpenAI({ baseURL, apiKey: "EMPTY", maxRetries: 0 });
  const chat = (more) => client.chat.completions.create({ model, messages: hello, max_tokens: 60, temperature: 0, ...more });
  const tools = [{ type: "function", function: { name: "go_to", description: "Go to a city.", parameters: schema } }];
  const named = { type: "function", function: { name: "go_to" } };
  const called = (await chat({ tools, tool_choice: named })).choices[0];
  const [call] = called.message.tool_calls;
  say("openai", "tool", [called.finish_reason, call.function.name, Object.keys(JSON.parse(call.function.arguments)).sort()]);

  const parts = { name: "", arguments: "" };
  for await (const chunk of await chat({ tools, tool_choice: named, stream: true })) {
    for (const piece of chunk.choices[0]?.delta?.tool_calls ?? []) {
      parts.name += piece.function?.name ?? "";
      parts.arguments += piece.function?.arguments ?? "";
    }
  }
  say("openai", "tool streamed", [parts.name, Object.keys(JSON.parse(parts.arguments)).sort()]);

  const result = { role: "tool", tool_call_id: call.id, content: "You are there." };
  const after = await chat({ messages: [...hello, called.message, result], tools });
  say("openai", "tool result", after.choices[0].message.role);
}

// What @ai-sdk/openai-compatible has no call for: models, transcriptions and speech. Its image models make pictures,
// which no engine here does.
async function ai() {
  const provider = createOpenAICompatible({ name: "edged", baseURL, apiKey: "EMPTY", supportsStructuredOutputs: true, includeUsage: true });
  const common = { model: provider(model), maxRetries: 0, temperature: 0, maxOutputTokens: 8 };

  const whole = await generateText({ ...common, prompt: "Say hello." });
  say("ai", "chat", [whole.text.length > 0, whole.finishReason]);

  const stream = streamText({ ...common, prompt: "Say hello." });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  say("ai", "stream", [text.length > 0, (await stream.usage).outputTokens]);

  const wanted = Output.object({ schema: z.object({ city: z.enum(["Paris", "Rome"]), people: z.number().int().min(1).max(9) }) });
  const { output } = await generateText({ ...common, maxOutputTokens: 40, prompt: "Name a city.", output: wanted });
  say("ai", "json_schema", Object.keys(output).sort());

  const content = [{ type: "text", text: "What is this?" }, { type: "image", image: readFileSync(picture) }];
  const seen = await generateText({ ...common, messages: [{ role: "user", content }] });
  say("ai", "image", seen.usage.inputTokens > whole.usage.inputTokens);

  const file = { type: "file", data: readFileSync(recording), mediaType: "audio/wav" };
  const heard = await generateText({ ...common, messages: [{ role: "user", content: [file] }] });
  say("ai", "audio", heard.usage.inputTokens > 5);

  const continued = await generateText({ ...common, model: provider.completionModel(model), prompt: "Once" });
  say("ai", "completion", [continued.text.length > 0, continued.finishReason]);

  const values = ["What is the capital of France?", "Which city is France governed from?", "The bread is stale."];
  const { embeddings } = await embedMany({ model: provider.embeddingModel("all-minilm-l6-v2"), values, maxRetries: 0 });
  const [one, two, other] = embeddings;
  say("ai", "embeddings", [one.length, cosineSimilarity(one, two) > cosineSimilarity(one, other)]);

  const error = await generateText({ ...common, model: provider("none"), prompt: "x" }).catch((refused) => refused);
  say("ai", "errors", [APICallError.isInstance(error), error.statusCode]);
}

async function aiTools() {
  const provider = createOpenAICompatible({ name: "edged", baseURL, apiKey: "EMPTY", includeUsage: true });
  const common = { model: provider(model), maxRetries: 0, temperature: 0 };
  const went = [];
  const go = tool({
    description: "Go to a city.",
    inputSchema: jsonSchema(schema),
    execute: async (place) => {
      went.push(Object.keys(place).sort());
      return "You are there.";
    },
  });
  const options = { ...common, maxOutputTokens: 60, prompt: "Go to Paris.", tools: { go_to: go }, stopWhen: stepCountIs(2) };
  const first = { type: "tool", toolName: "go_to" };
  const prepareStep = ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? first : "none" });
  const called = await generateText({ ...options, prepareStep });
  say("ai", "tool", [called.steps.map((step) => step.finishReason === "tool-calls"), went.pop()]);
  const streamed = streamText({ ...options, prepareStep });
  await streamed.consumeStream();
  say("ai", "tool streamed", [(await streamed.steps).length, went.pop()]);
}

for (const part of what === "tools" ? [openaiTools, aiTools] : [openai, ai]) await part();
