// A client in another language, of nothing but the proto files or the daemon's reflection:
// node client.mjs ADDRESS files|reflection PROTO_FOLDER...
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import reflection from "grpc-js-reflection-client";

const [address, means, ...folders] = process.argv.slice(2);
const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: folders };
const credentials = grpc.credentials.createInsecure();
const limits = { "grpc.max_receive_message_length": -1 };

async function service(name) {
  if (means === "reflection") {
    const described = await new reflection.GrpcReflection(address, credentials).getDescriptorBySymbol(`edged.v1.${name}`);
    return new (described.getPackageObject(options).edged.v1[name])(address, credentials, limits);
  }
  const files = ["assistant", "conversation", "status"].map((file) => `edged/v1/${file}.proto`);
  return new (grpc.loadPackageDefinition(protoLoader.loadSync(files, options)).edged.v1[name])(address, credentials, limits);
}

const assistant = await service("AssistantService");
const conversations = await service("ConversationService");

// Events of one turn, until the end or until `enough` of them say so.
function ask(text, { deadline, enough = () => false } = {}) {
  return new Promise((resolve, reject) => {
    const events = [];
    const call = assistant.Ask({ parts: [{ text }] }, deadline ? { deadline: Date.now() + deadline } : {});
    call.on("data", (event) => {
      events.push(event);
      if (enough(events)) call.cancel();
    });
    call.on("error", (error) => (error.code === grpc.status.CANCELLED ? resolve(events) : reject(error)));
    call.on("end", () => resolve(events));
  });
}

const textOf = (events) => events.map((event) => event.text_delta?.text ?? "").join("");
const lastWord = (events) => textOf(events).split(" ").at(-1);
const call = (client, method, request) =>
  new Promise((resolve, reject) => client[method](request, (error, answer) => (error ? reject(error) : resolve(answer))));

// Details of an error by the name of their type.
function detailsOf(error) {
  const types = protoLoader.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"], options);
  const found = {};
  const status = types["google.rpc.Status"].deserialize(error.metadata.get("grpc-status-details-bin")[0]);
  for (const any of status.details) {
    const name = any.type_url.split("/").at(-1);
    found[name.split(".").at(-1)] = types[name].deserialize(any.value);
  }
  return found;
}

for (const task of ["stream", "unknown"]) {
  const events = await ask(task);
  console.log(task, textOf(await ask(`${task} ${lastWord(events)}`)));
}
await ask("cancel", { enough: (events) => events.filter((event) => event.text_delta).length > 4 });
const late = await ask("deadline", { deadline: 1500 }).catch((error) => error);
console.log("deadline", grpc.status[late.code]);
const page = await call(conversations, "ListConversations", { page_size: 3 });
console.log("conversations", page.conversations.length, page.next_page_token ? "and more" : "");
const missing = await call(conversations, "GetConversation", { conversation_id: "none" }).catch((error) => error);
console.log("missing", grpc.status[missing.code]);
if (means === "files") {
  const details = detailsOf(await ask("details").catch((error) => error));
  await ask(`details ${details.ErrorInfo.reason} ${details.BadRequest.field_violations[0].field}`);
  const { retry_delay: delay } = detailsOf(await ask("retry").catch((error) => error)).RetryInfo;
  await new Promise((resolve) => setTimeout(resolve, Number(delay.seconds) * 1000 + delay.nanos / 1e6));
  await ask("retry");
}
