# A whole LCDP node with the habits of the quick start's: it echoes a cookie, whole payload,
# only when an earlier element of the same array made it answer. It fetches one content by its
# sha256, a block of 4096 bytes at a time, and gives it then.   node.py IP PORT SHA256 FILE PEER...
import base64, hashlib, json, socket, sys
ip, port, sha, path, *known = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((ip, int(port))); s.settimeout(0.25)
peers, content, done = set(known), b"", False
def please(): return {"PleaseSendContent": {"id": sha, "offset": len(content), "length": 4096}}
def send(to, out): s.sendto(json.dumps(out).encode(), (to.rpartition(":")[0], int(to.rpartition(":")[2])))
while True:
    try: data, addr = s.recvfrom(65535)
    except TimeoutError:
        for p in peers: send(p, [{"PleaseSendPeers": {}}] + ([] if done else [please()]))
        continue
    out, addr = [], "%s:%d" % addr
    for m in json.loads(data):
        if "PleaseSendPeers" in m: out.append({"Peers": {"peers": list(peers)[:20]}})
        if done and m.get("PleaseSendContent", {}).get("id") == sha:
            at = m["PleaseSendContent"]["offset"]; block = content[at:at + min(m["PleaseSendContent"]["length"], 4096)]
            out.append({"Content": {"id": sha, "offset": at, "base64": base64.b64encode(block).decode(), "eof": len(content)}})
        if "Peers" in m: peers.update(m["Peers"]["peers"])
        if "Content" in m and m["Content"]["offset"] == len(content) and not done:
            block, end = base64.b64decode(m["Content"]["base64"]), m["Content"]["eof"]
            if len(block) == 4096 or len(content) + len(block) == end: content += block
            if len(content) < end: out.append(please())
            elif hashlib.sha256(content).hexdigest() == sha: done = open(path, "wb").write(content) == end
        if out and "PleaseAlwaysReturnThisMessage" in m: out.append({"AlwaysReturned": m["PleaseAlwaysReturnThisMessage"]})
    peers.add(addr)
    if out: send(addr, out)
