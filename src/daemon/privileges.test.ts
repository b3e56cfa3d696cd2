/** Tests of privileges.ts; the real change of user runs in a child process and needs root. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { findUser, parsePasswd } from "./privileges.ts";

const PASSWD = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n# broken:line\n";

test("parsePasswd() finds a user by name or by number (passwd(5))", () => {
  assert.deepEqual(parsePasswd(PASSWD, "nobody"), { name: "nobody", uid: 65534, gid: 65534 });
  assert.deepEqual(parsePasswd(PASSWD, "0"), { name: "root", uid: 0, gid: 0 });
  assert.equal(parsePasswd(PASSWD, "no"), undefined);
  assert.equal(parsePasswd(PASSWD, ""), undefined);
});

test("findUser() says so when the user is unknown", () => {
  assert.throws(() => findUser("nobody-of-this-name"), {
    name: "PrivilegeError",
    message:
      'user "nobody-of-this-name" is unknown on this system: getent passwd nobody-of-this-name finds nothing',
  });
});

const isRoot = process.getuid!() === 0;

test("dropPrivileges() gives up root for good", { skip: isRoot ? false : "needs root" }, () => {
  const script = `
    const { dropPrivileges } = await import(${JSON.stringify(new URL("./privileges.js", import.meta.url))});
    const dropped = dropPrivileges("nobody");
    let back = "refused";
    try { process.setuid(0); back = "allowed"; } catch {}
    console.log(JSON.stringify({ dropped, uid: process.getuid(), groups: process.getgroups(), back }));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const { uid, gid } = findUser("nobody");
  // getgroups() of Node always lists the effective group as well.
  assert.deepEqual(JSON.parse(stdout), { dropped: true, uid, groups: [gid], back: "refused" });
});
