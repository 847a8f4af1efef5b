// Starts the app.

import "./styles/base.css";
import "./styles/chat.css";
import "./styles/pages.css";
import { render } from "preact";
import { keepInTouch } from "./api/reconnect";
import { watchVoices } from "./chat/read_aloud";
import { watchInstallOffer } from "./install/install_offer";
import { registerServiceWorker } from "./offline/register";
import { acceptInvitation } from "./pairing/pairing_page";
import { applySettings } from "./settings/settings";
import { App } from "./shell/app";
import { followAddressBar } from "./shell/route";

acceptInvitation(); // first of all: the secret leaves the address bar
applySettings();
followAddressBar();
watchVoices();
watchInstallOffer();
registerServiceWorker();
keepInTouch();

const place = document.getElementById("app");
if (place) render(<App />, place);
