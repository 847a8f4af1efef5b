// The daemon's services, by Connect on the port that this page came from.

import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AssistantService } from "../gen/edged/v1/assistant_pb";
import { ConversationService } from "../gen/edged/v1/conversation_pb";
import { DeviceService, PairingService } from "../gen/edged/v1/device_pb";
import { ModelService } from "../gen/edged/v1/model_pb";
import { StatusService } from "../gen/edged/v1/status_pb";
import { heardFromDaemon, lost } from "./session";

/** Every answer and every failure tells how this device stands with the daemon. */
const watch: Interceptor = (next) => async (request) => {
  const isPairing = request.service.typeName === PairingService.typeName;
  try {
    const response = await next(request);
    heardFromDaemon();
    if (!response.stream) return response;
    return { ...response, message: watched(response.message) };
  } catch (error) {
    if (!isPairing) lost(error);
    throw error;
  }
};

async function* watched<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    lost(error);
    throw error;
  }
}

const transport = createConnectTransport({
  baseUrl: globalThis.location?.origin ?? "",
  useBinaryFormat: true,
  interceptors: [watch],
  // The cookie goes to the daemon and nowhere else, and no answer is kept by the browser.
  fetch: (input, init) => fetch(input, { ...init, credentials: "same-origin", redirect: "error", cache: "no-store" }),
});

export const assistant = createClient(AssistantService, transport);
export const conversations = createClient(ConversationService, transport);
export const devices = createClient(DeviceService, transport);
export const models = createClient(ModelService, transport);
export const pairing = createClient(PairingService, transport);
export const status = createClient(StatusService, transport);
