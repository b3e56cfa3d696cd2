/**
 * Gives up root for good (credentials(7), setresuid(2)). Called by the worker after it opened what needs root.
 * Order matters: groups and gid first, because afterwards the process may not change them any more.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface UserIdentity {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export class PrivilegeError extends Error {
  override readonly name = "PrivilegeError";
}

/** True when privileges were dropped; false when there were none (not started as root): the user stays. */
export function dropPrivileges(user: string): boolean {
  if (process.getuid!() !== 0) {
    return false;
  }
  const identity = findUser(user);
  process.setgroups!([]);
  process.setgid!(identity.gid);
  process.setuid!(identity.uid);
  verifyDropped(identity);
  return true;
}

/** Throws a PrivilegeError when the user is unknown. */
export function findUser(user: string): UserIdentity {
  const identity = parsePasswd(readFileSync("/etc/passwd", "utf8"), user) ?? askNameService(user);
  if (identity === undefined) {
    throw new PrivilegeError(`user "${user}" is unknown on this system: getent passwd ${user} finds nothing`);
  }
  return identity;
}

/** The line of `user` (a name or a uid) in the text of passwd(5). */
export function parsePasswd(text: string, user: string): UserIdentity | undefined {
  for (const line of text.split("\n")) {
    const [name, , uid, gid] = line.split(":");
    const matches = name === user || (/^\d+$/.test(user) && uid === user);
    if (name !== undefined && matches && /^\d+$/.test(uid ?? "") && /^\d+$/.test(gid ?? "")) {
      return { name, uid: Number(uid), gid: Number(gid) };
    }
  }
  return undefined;
}

/** Users of LDAP and the like are not in /etc/passwd. */
function askNameService(user: string): UserIdentity | undefined {
  if (user.startsWith("-")) {
    return undefined;
  }
  try {
    const line = execFileSync("getent", ["passwd", user], { encoding: "utf8", timeout: 5000 });
    return parsePasswd(line, user);
  } catch {
    return undefined;
  }
}

function verifyDropped(identity: UserIdentity): void {
  const { uid, gid, name } = identity;
  const isUser = process.getuid!() === uid && process.geteuid!() === uid;
  const isGroup = process.getgid!() === gid && process.getegid!() === gid;
  if (!isUser || !isGroup) {
    throw new PrivilegeError(`could not become user "${name}" (uid ${uid}, gid ${gid})`);
  }
  if (uid !== 0 && canBecomeRoot()) {
    throw new PrivilegeError(`became user "${name}", but could still return to root`);
  }
}

function canBecomeRoot(): boolean {
  try {
    process.setuid!(0);
    return true;
  } catch {
    return false;
  }
}
