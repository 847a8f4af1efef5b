// The service worker: keeps the files of the shell and nothing else. Calls to the daemon go past it.

declare const self: ServiceWorkerGlobalScope;

/** Put in when the app is built: a hash of all files, and their paths. */
const SHELL: { readonly version: string; readonly files: readonly string[] } = JSON.parse("__SHELL__");
const CACHE = `shell-${SHELL.version}`;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll([...SHELL.files]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  const forgetOthers = async () => {
    for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(forgetOthers());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === "/") event.respondWith(fresh(request));
  else if (url.pathname !== "/" && SHELL.files.includes(url.pathname)) event.respondWith(kept(request));
});

/** The page from the daemon, so that a newer one is seen; the kept one while nobody answers. */
async function fresh(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch {
    return (await caches.match("/")) ?? Response.error();
  }
}

async function kept(request: Request): Promise<Response> {
  return (await caches.match(request, { cacheName: CACHE })) ?? fetch(request);
}

export {};
