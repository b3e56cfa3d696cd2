/**
 * Catalogue: Linux's own connection tables, firewalls and NATs. Data of ../catalogue.ts.
 */
import type { CatalogueEntry, Knob } from "../catalogue-entry.ts";

const SILENT = { at_expiry: "silent", from_client: "drop", from_server: "drop" };
const IPVS_SOURCE = {
  text: "Linux net/netfilter/ipvs/ip_vs_proto_tcp.c: ESTABLISHED 900 s, CLOSE_WAIT 60 s, FIN_WAIT 120 s",
  url: "https://github.com/torvalds/linux/blob/master/net/netfilter/ipvs/ip_vs_proto_tcp.c",
};
const CONNTRACK_DEFAULTS = { timeout: "432000s", half_closed: "60s", unanswered: "300s" };
const CONNTRACK_SOURCE = {
  text: "Linux documentation, nf_conntrack-sysctl: established 432000 s, close_wait 60 s, max_retrans 300 s",
  url: "https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
};
const CONNTRACK_KNOBS: Readonly<Record<string, Knob>> = {
  nf_conntrack_tcp_timeout_established: { fields: ["timeout"] },
  nf_conntrack_tcp_timeout_close_wait: { fields: ["half_closed"] },
  nf_conntrack_tcp_timeout_max_retrans: { fields: ["unanswered"] },
};

const LINUX: readonly CatalogueEntry[] = [
  {
    name: "lvs",
    title: "LVS/IPVS (ipvsadm, keepalived), virtual address on the director",
    group: "Linux",
    kind: "packet-box",
    defaults: {
      timeout: "900s",
      half_closed: "60s",
      at_expiry: "silent",
      from_client: "reset",
      from_server: "drop",
    },
    knobs: { tcp: { fields: ["timeout"] }, tcpfin: { fields: ["half_closed"] } },
    source: IPVS_SOURCE,
    note: "the director answers the client's next packet with RST; the real server learns nothing (kube-router #521)",
  },
  {
    name: "kube-proxy-ipvs",
    title: "Kubernetes Service, kube-proxy in IPVS mode",
    group: "Linux",
    kind: "packet-box",
    defaults: {
      timeout: "900s",
      half_closed: "60s",
      at_expiry: "silent",
      from_client: "reset",
      from_server: "drop",
    },
    knobs: {
      "ipvs-tcp-timeout": { fields: ["timeout"] },
      "ipvs-tcpfin-timeout": { fields: ["half_closed"] },
    },
    source: {
      text: "kube-proxy leaves the kernel's 900 s (0 = unchanged); kubelb #539, kubernetes #80298; what the server's next packet meets is from memory",
      url: "https://github.com/kubermatic/kubelb/issues/539",
      isUnverified: true,
    },
  },
  {
    name: "kube-proxy-iptables",
    title: "Kubernetes Service, kube-proxy in iptables or nftables mode",
    group: "Linux",
    kind: "packet-box",
    defaults: {
      timeout: "86400s",
      half_closed: "1h",
      unanswered: "300s",
      at_expiry: "silent",
      from_client: "reset",
      from_server: "adopt",
    },
    knobs: {
      "conntrack-tcp-timeout-established": { fields: ["timeout"] },
      "conntrack-tcp-timeout-close-wait": { fields: ["half_closed"] },
    },
    source: {
      text: "kube-proxy reference: conntrack-tcp-timeout-established 24 h, -close-wait 1 h; what packets meet afterwards is from memory",
      url: "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
      isUnverified: true,
    },
    note: "the client's next packet is balanced anew and meets a pod that does not know it: RST, unless chance picks the same pod",
  },
  {
    name: "docker-swarm-vip",
    title: "Docker swarm service VIP, client and task on different hosts",
    group: "Linux",
    kind: "packet-box",
    defaults: { timeout: "900s", half_closed: "60s", ...SILENT },
    source: {
      text: "moby #31208, #37466: IPVS inside the network namespace, 900 s; half-closed 60 s: #29655; what the task's next packet meets is from memory",
      url: "https://github.com/moby/moby/issues/31208",
      isUnverified: true,
    },
    note: "cannot be changed from the docker command line; endpoint_mode: dnsrr goes round it",
  },
  {
    name: "docker-swarm-vip-local",
    title: "Docker swarm service VIP, client and task on one host",
    group: "Linux",
    kind: "packet-box",
    defaults: {
      timeout: "900s",
      half_closed: "60s",
      at_expiry: "silent",
      from_client: "reset",
      from_server: "drop",
    },
    source: {
      text: "moby #37466: on the same host the client's next packet is answered with RST; what the task's meets is from memory",
      url: "https://github.com/moby/moby/issues/37466",
      isUnverified: true,
    },
  },
  {
    name: "conntrack",
    title: "Linux connection tracking (stateful nftables or iptables firewall)",
    group: "Linux",
    kind: "packet-box",
    defaults: { ...CONNTRACK_DEFAULTS, at_expiry: "silent", from_client: "adopt", from_server: "adopt" },
    knobs: CONNTRACK_KNOBS,
    source: CONNTRACK_SOURCE,
    note: "nf_conntrack_tcp_loose = 1: a packet in mid-stream makes a new entry",
  },
  {
    name: "conntrack-drop-invalid",
    title: "Linux connection tracking with tcp_loose = 0 and a rule that drops INVALID",
    group: "Linux",
    kind: "packet-box",
    defaults: { ...CONNTRACK_DEFAULTS, ...SILENT },
    knobs: CONNTRACK_KNOBS,
    source: CONNTRACK_SOURCE,
  },
  {
    name: "conntrack-snat",
    title: "Linux NAT (masquerade), client inside",
    group: "Linux",
    kind: "packet-box",
    defaults: { ...CONNTRACK_DEFAULTS, at_expiry: "silent", from_client: "adopt", from_server: "reset" },
    knobs: CONNTRACK_KNOBS,
    source: { ...CONNTRACK_SOURCE, isUnverified: true },
    note: "a packet from outside finds no mapping, is taken for the NAT host itself, and its kernel answers RST; from inside, the new mapping may have another port",
  },
  {
    name: "cilium",
    title: "Cilium (eBPF connection tracking)",
    group: "Linux",
    kind: "packet-box",
    defaults: { timeout: "8000s", ...SILENT },
    knobs: {
      "bpf-ct-timeout-regular-tcp": { fields: ["timeout"] },
      "bpf-ct-timeout-service-tcp": { fields: ["timeout"] },
    },
    source: {
      text: "cilium-agent command reference: 21600 s in older versions; 8000 s in newer ones is from memory",
      url: "https://docs.cilium.io/en/stable/cmdref/cilium-agent/",
      isUnverified: true,
    },
  },
];

const FIREWALLS: readonly CatalogueEntry[] = [
  {
    name: "f5",
    title: "F5 BIG-IP, TCP or FastL4 profile",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "300s", at_expiry: "reset-both", from_client: "reset", from_server: "reset" },
    knobs: {
      "idle-timeout": { fields: ["timeout"] },
      "reset-on-timeout": { fields: ["at_expiry"], words: { enabled: "reset-both", disabled: "silent" } },
      "loose-initiation": {
        fields: ["from_client", "from_server"],
        words: { enabled: "adopt", disabled: "reset" },
      },
    },
    source: {
      text: "idle-timeout 300 s, reset-on-timeout enabled",
      url: "https://networkengineering.stackexchange.com/questions/3188",
    },
    note: "that packets of a forgotten connection are answered with RST is from memory",
  },
  {
    name: "f5-silent",
    title: "F5 BIG-IP with reset-on-timeout disabled",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "300s", at_expiry: "silent", from_client: "reset", from_server: "reset" },
    knobs: { "idle-timeout": { fields: ["timeout"] } },
    source: {
      text: "as f5, silent at expiry; whoever speaks next is answered with RST",
      url: "https://www.darenmatthews.com/blog/?p=2146",
      isUnverified: true,
    },
  },
  {
    name: "f5-loose",
    title: "F5 BIG-IP FastL4 with loose initiation",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "300s", at_expiry: "silent", from_client: "adopt", from_server: "adopt" },
    knobs: { "idle-timeout": { fields: ["timeout"] } },
    source: {
      text: "loose-initiation takes up a packet in mid-stream",
      url: "https://www.darenmatthews.com/blog/?p=2146",
    },
  },
  {
    name: "cisco-asa",
    title: "Cisco ASA, FTD",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "1h", half_closed: "10m", ...SILENT },
    knobs: { "timeout conn": { fields: ["timeout"] }, "timeout half-closed": { fields: ["half_closed"] } },
    source: {
      text: "Cisco documentation, global timeouts: 1 h, half-closed 10 min",
      url: "https://docs.defenseorchestrator.com/t_configure_global_timeouts_fptd.html",
    },
    note: "with dead connection detection (DCD) it asks both ends before it forgets",
  },
  {
    name: "palo-alto",
    title: "Palo Alto Networks firewall",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "3600s", ...SILENT },
    source: {
      text: "session timeouts: TCP 3600 s (from memory); a value per application goes before it",
      url: "https://docs.paloaltonetworks.com/pan-os/10-1/pan-os-networking-admin/session-settings-and-timeouts/configure-session-timeouts",
      isUnverified: true,
    },
  },
  {
    name: "juniper-srx",
    title: "Juniper SRX",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "1800s", ...SILENT },
    knobs: { "inactivity-timeout": { fields: ["timeout"] } },
    source: { text: "application inactivity-timeout 1800 s", isUnverified: true },
  },
  {
    name: "rfc5382-nat",
    title: "NAT that keeps to RFC 5382",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "2h4m", half_closed: "4m", ...SILENT },
    source: {
      text: "RFC 5382 REQ-5: at least 2 h 4 min, transitory 4 min; RFC 7857",
      url: "https://www.rfc-editor.org/rfc/rfc5382",
    },
  },
  {
    name: "home-nat",
    title: "Home router, the most impatient of 34 that were measured",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "239s", ...SILENT },
    source: {
      text: "Hätönen and others, IMC 2010: from about 239 s to more than 24 h, half of them about 1 h",
      url: "https://www.cs.helsinki.fi/group/wiseciti/nat-study/",
      isUnverified: true,
    },
  },
  {
    name: "mobile-carrier",
    title: "NAT of a mobile network, an impatient one",
    group: "firewalls and NATs",
    kind: "packet-box",
    defaults: { timeout: "4m", ...SILENT },
    source: { text: "Wang and others, SIGCOMM 2011: 4 to 10 min are common", isUnverified: true },
  },
];

export const NETWORKS: readonly CatalogueEntry[] = [...LINUX, ...FIREWALLS];
