"""The page that describes the HTTP API, in a browser."""

from __future__ import annotations

from tests.e2e.program import Home
from tests.e2e.test_http import free_port
from tests.phone.browser import chromium


async def test_the_page_is_all_from_here(home: Home) -> None:
    address = f"127.0.0.1:{free_port()}"
    asked: list[str] = []
    said: list[str] = []
    with home.daemon("--http", address):
        async with chromium() as browser:
            page = await browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            await page.goto(f"http://{address}/docs")
            await page.wait_for_selector(".opblock")
            paths = await page.locator(".opblock-summary-path").all_inner_texts()
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/metrics"} <= {
        path.replace("\u200b", "") for path in paths
    }
    assert f"http://{address}/openapi.json" in asked
    assert all(url.startswith((f"http://{address}/", "data:")) for url in asked), asked
    assert not [line for line in said if "Content Security Policy" in line], said
