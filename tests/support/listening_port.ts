/** The IPv4 port on which a process or a child of it listens, for when its log cannot be read. Linux only. */
export function listeningPort(pid: number): number | undefined {
  const family = [pid];
  for (const parent of family) family.push(...childrenOf(parent));
  const inodes = new Set(family.flatMap(socketsOf));
  for (const line of Deno.readTextFileSync("/proc/net/tcp").split("\n").slice(1)) {
    const words = line.trim().split(/\s+/);
    if (words[3] === "0A" && inodes.has(words[9]!)) return parseInt(words[1]!.split(":")[1]!, 16);
  }
  return undefined;
}

function childrenOf(pid: number): number[] {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // it has ended
  }
}

/** The inodes of its sockets. */
function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  const found: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(folder)) {
      const inode = Deno.readLinkSync(`${folder}/${name}`).match(/^socket:\[(\d+)\]$/)?.[1];
      if (inode) found.push(inode);
    }
  } catch {
    // Something was closed, or the process has ended: the caller will ask again.
  }
  return found;
}
