"""The workload of the local mesh tells what it was sent."""

from aiohttp.test_utils import TestClient, TestServer

from deploy.local.upstream import application


async def test_it_tells_method_path_and_headers():
    async with TestClient(TestServer(application())) as client:
        answer = await client.post("/a/b?c=d", headers={"X-Tenant": "blue"}, data=b"body")
        seen = await answer.json()
    assert answer.status == 200
    assert (seen["method"], seen["path"]) == ("POST", "/a/b?c=d")
    assert ["x-tenant", "blue"] in seen["headers"]
