/** The words of the catalogue's tables, per language of the guides. Names, sources and notes stay as they are. Pure. */
export type PageLanguage = "en" | "zh-CN";

export interface PageWords {
  readonly boxHead: readonly string[];
  readonly endPointHead: readonly string[];
  readonly payload: string;
  readonly anyPacket: string;
  readonly never: string;
  readonly unverified: string;
  readonly asClient: string;
  readonly resetBoth: string;
  readonly finBoth: string;
  readonly lateAnswer: string;
  readonly nothing: string;
  /** At expiry, and after. */
  readonly inTurn: (atExpiry: string, after: string) => string;
  readonly after: Readonly<Record<"drop" | "reset" | "adopt", string>>;
  readonly packetsAre: (client: string, server: string) => string;
  readonly clientAnd: (client: string, what: "server" | "answer", server: string) => string;
  readonly halfClosed: (timeout: string) => string;
  readonly unanswered: (timeout: string) => string;
  readonly groups: Readonly<Record<string, string>>;
}

export const PAGE_WORDS: Readonly<Record<PageLanguage, PageWords>> = {
  en: {
    boxHead: ["name", "what", "idle time-out", "refreshed by", "at expiry, and after", "setting", "source"],
    endPointHead: ["name", "what", "TCP keepalive", "closes when idle", "gives up on an answer", "source"],
    payload: "payload",
    anyPacket: "any packet",
    never: "never",
    unverified: "unverified:",
    asClient: "as a client:",
    resetBoth: "RST to both",
    finBoth: "FIN to both",
    lateAnswer: "FIN; an answer that is late: 504",
    nothing: "nothing",
    inTurn: (atExpiry, after) => `${atExpiry}, then ${after}`,
    after: { drop: "dropped", reset: "answered with RST", adopt: "taken up again" },
    packetsAre: (client, server) =>
      client === server
        ? `packets are ${client}`
        : `the client's packets are ${client}, the server's ${server}`,
    clientAnd: (client, what, server) => `client ${client}, ${what} ${server}`,
    halfClosed: (timeout) => `half-closed ${timeout}`,
    unanswered: (timeout) => `unanswered ${timeout}`,
    groups: {},
  },
  "zh-CN": {
    boxHead: ["名字", "是什么", "空闲超时", "由什么刷新", "到期时与到期后", "设置项", "出处"],
    endPointHead: ["名字", "是什么", "TCP keepalive", "空闲多久后关闭", "等待应答的时限", "出处"],
    payload: "有效载荷",
    anyPacket: "任何报文",
    never: "无",
    unverified: "未经证实：",
    asClient: "作为客户端：",
    resetBoth: "向两端发 RST",
    finBoth: "向两端发 FIN",
    lateAnswer: "FIN；应答太迟则 504",
    nothing: "什么也不发",
    inTurn: (atExpiry, after) => `${atExpiry}；之后，${after}`,
    after: { drop: "被丢弃", reset: "得到 RST", adopt: "被重新接纳" },
    packetsAre: (client, server) =>
      client === server ? `报文一律${client}` : `客户端的报文${client}，服务器的报文${server}`,
    clientAnd: (client, what, server) =>
      `客户端 ${client}，${what === "server" ? "服务器" : "应答"} ${server}`,
    halfClosed: (timeout) => `半关闭 ${timeout}`,
    unanswered: (timeout) => `未确认 ${timeout}`,
    groups: {
      "other clouds": "其他云",
      "firewalls and NATs": "防火墙与 NAT",
      proxies: "代理",
      "end points": "端点",
    },
  },
};
