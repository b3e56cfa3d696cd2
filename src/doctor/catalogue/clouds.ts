/**
 * Catalogue: balancers, NATs and firewalls that clouds sell. Defaults as their makers document them; `isUnverified` marks what was
 * never seen in the maker's own words. Data of ../catalogue.ts.
 */
import type { CatalogueEntry, Knob } from "../catalogue-entry.ts";

const AWS_DOCS = "https://docs.aws.amazon.com";
const AZURE_DOCS = "https://learn.microsoft.com/azure";
const fixedKnob: Readonly<Record<string, Knob>> = {};
const azureIdle: Readonly<Record<string, Knob>> = {
  idleTimeoutInMinutes: { fields: ["timeout"], unit: "min" },
};

/** Silence: what comes later vanishes as well. */
const SILENT = { at_expiry: "silent", from_client: "drop", from_server: "drop" };
/** Nothing at expiry; whoever speaks next is answered with RST. */
const RESETS_THE_NEXT = { at_expiry: "silent", from_client: "reset", from_server: "reset" };

const AWS: readonly CatalogueEntry[] = [
  {
    name: "aws-nat-gateway",
    title: "AWS NAT gateway",
    group: "AWS",
    kind: "packet-box",
    defaults: { timeout: "350s", at_expiry: "silent", from_client: "reset", from_server: "drop" },
    knobs: fixedKnob,
    source: {
      text: "AWS documentation, NAT gateway troubleshooting: 350 s, RST when the inside speaks, never FIN",
      url: `${AWS_DOCS}/vpc/latest/userguide/nat-gateway-troubleshooting.html`,
    },
    note: "the 350 s cannot be changed; only the inside host is told, when it speaks next",
  },
  {
    name: "aws-nlb",
    title: "AWS Network Load Balancer, TCP listener",
    group: "AWS",
    kind: "packet-box",
    defaults: { timeout: "350s", ...RESETS_THE_NEXT },
    knobs: { "tcp.idle_timeout.seconds": { fields: ["timeout"] } },
    source: {
      text: "AWS documentation, NLB idle timeout: 350 s, 60 to 6000",
      url: `${AWS_DOCS}/elasticloadbalancing/latest/network/update-idle-timeout.html`,
    },
  },
  {
    name: "aws-nlb-tls",
    title: "AWS Network Load Balancer, TLS listener",
    group: "AWS",
    kind: "proxy",
    defaults: {
      protocol: "tcp",
      client_so_keepalive: "20s:20s:9",
      server_so_keepalive: "20s:20s:9",
      client_idle_timeout: "350s",
      server_timeout: "350s",
      on_server_timeout: "reset",
      on_client_timeout: "reset",
      passes_reset_as: "reset",
    },
    source: {
      text: "AWS documentation, NLB idle timeout: 350 s, fixed; its own 20 s probes are hearsay",
      url: `${AWS_DOCS}/elasticloadbalancing/latest/network/update-idle-timeout.html`,
      isUnverified: true,
    },
    note: "ends TLS and with it TCP: probes of one end do not reach the other",
  },
  {
    name: "aws-gwlb",
    title: "AWS Gateway Load Balancer",
    group: "AWS",
    kind: "packet-box",
    defaults: { timeout: "350s", ...SILENT },
    knobs: {
      "tcp.idle_timeout.seconds": { fields: ["timeout"] },
      "send_tcp_reset.on_idle_timeout.enabled": {
        fields: ["at_expiry"],
        words: { true: "reset-both", false: "silent" },
      },
    },
    source: {
      text: "AWS documentation, GWLB listener attributes: 350 s, 60 to 6000; send_tcp_reset.on_idle_timeout is off",
      url: `${AWS_DOCS}/elasticloadbalancing/latest/gateway/gateway-listeners.html`,
    },
    note: "a forgotten flow may be sent to another appliance, which has never heard of it and drops it",
  },
  {
    name: "aws-alb",
    title: "AWS Application Load Balancer",
    group: "AWS",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "60s",
      server_timeout: "60s",
      upstream_idle_timeout: "60s",
    },
    knobs: {
      "idle_timeout.timeout_seconds": {
        fields: ["client_idle_timeout", "server_timeout", "upstream_idle_timeout"],
      },
    },
    source: {
      text: "AWS documentation, ALB attributes: idle_timeout.timeout_seconds 60, 1 to 4000; probes do not count",
      url: `${AWS_DOCS}/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html`,
    },
  },
  {
    name: "aws-classic-elb",
    title: "AWS Classic Load Balancer",
    group: "AWS",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "60s",
      server_timeout: "60s",
      upstream_idle_timeout: "60s",
    },
    source: {
      text: "AWS documentation: 60 s; TCP keepalive probes do not prevent the load balancer from terminating the connection",
      url: `${AWS_DOCS}/elasticloadbalancing/latest/classic/config-idle-timeout.html`,
    },
  },
  {
    name: "ec2-security-group",
    title: "EC2 security group (connection tracking), instances before Nitro v6",
    group: "AWS",
    kind: "packet-box",
    defaults: { timeout: "432000s", ...SILENT },
    knobs: { TcpEstablishedTimeout: { fields: ["timeout"] } },
    source: {
      text: "EC2 documentation, connection tracking: TcpEstablishedTimeout 432000 s, 60 to 432000",
      url: `${AWS_DOCS}/AWSEC2/latest/UserGuide/security-group-connection-tracking.html`,
    },
  },
  {
    name: "ec2-security-group-nitro-v6",
    title: "EC2 security group (connection tracking) on Nitro v6 instances",
    group: "AWS",
    kind: "packet-box",
    defaults: { timeout: "350s", ...SILENT },
    knobs: { TcpEstablishedTimeout: { fields: ["timeout"] } },
    source: {
      text: "EC2 API, ConnectionTrackingConfiguration: 350 s on Nitro v6, P6e-GB200 excepted (seen in the field: dash0-operator #1120)",
      url: `${AWS_DOCS}/AWSEC2/latest/APIReference/API_ConnectionTrackingConfiguration.html`,
    },
    note: "two instances that talk directly, without NAT or balancer, have this box twice",
  },
];

const GOOGLE: readonly CatalogueEntry[] = [
  {
    name: "gcp-vpc",
    title: "Google Cloud VPC firewall (connection tracking)",
    group: "Google",
    kind: "packet-box",
    defaults: { timeout: "10m", at_expiry: "silent", from_client: "adopt", from_server: "drop" },
    source: {
      text: "Google Cloud documentation, VM troubleshooting: 10 min, inbound is blocked until the VM sends (seen: pgjdbc #1508)",
      url: "https://cloud.google.com/compute/docs/troubleshooting/general-tips",
    },
    note: "fixed; modelled with the VM on the client's side: what the VM sends makes a new entry",
  },
  {
    name: "gcp-cloud-nat",
    title: "Google Cloud NAT",
    group: "Google",
    kind: "packet-box",
    defaults: { timeout: "1200s", half_closed: "30s", ...SILENT },
    knobs: {
      "tcp-established-idle-timeout": { fields: ["timeout"] },
      "tcp-transitory-idle-timeout": { fields: ["half_closed"] },
    },
    source: {
      text: "Google Cloud documentation, Cloud NAT timeouts: 1200 s established, 30 s transitory",
      url: "https://cloud.google.com/nat/docs/tune-nat-configuration",
    },
  },
  {
    name: "gcp-http-lb",
    title: "Google Cloud Application Load Balancer",
    group: "Google",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "610s",
      server_timeout: "30s",
      upstream_idle_timeout: "600s",
    },
    knobs: {
      timeoutSec: { fields: ["server_timeout"] },
      httpKeepAliveTimeoutSec: { fields: ["client_idle_timeout"] },
    },
    source: {
      text: "Google Cloud documentation: HTTP keepalive 610 s to clients, 600 s to backends (fixed); the backend timeout of 30 s is from memory",
      url: "https://cloud.google.com/load-balancing/docs/https/request-distribution",
      isUnverified: true,
    },
  },
  {
    name: "gcp-tcp-proxy",
    title: "Google Cloud proxy Network Load Balancer",
    group: "Google",
    kind: "proxy",
    defaults: { protocol: "tcp", client_idle_timeout: "600s", server_timeout: "600s" },
    source: {
      text: "TCP proxy idle timeout 600 s",
      url: "https://cloud.google.com/load-balancing/docs/tcp",
      isUnverified: true,
    },
  },
];

const AZURE: readonly CatalogueEntry[] = [
  {
    name: "azure-lb",
    title: "Azure Load Balancer",
    group: "Azure",
    kind: "packet-box",
    defaults: { timeout: "4m", ...SILENT },
    knobs: { ...azureIdle, tcp_reset: { fields: ["at_expiry"], words: { on: "reset-both", off: "silent" } } },
    source: {
      text: "Azure documentation, TCP reset and idle timeout: 4 min, 4 to 100, silent by default",
      url: `${AZURE_DOCS}/load-balancer/load-balancer-tcp-reset`,
    },
  },
  {
    name: "azure-lb-tcp-reset",
    title: "Azure Load Balancer with TCP reset enabled",
    group: "Azure",
    kind: "packet-box",
    defaults: { timeout: "4m", ...SILENT, at_expiry: "reset-both" },
    knobs: azureIdle,
    source: {
      text: "Azure documentation, TCP reset and idle timeout: both ends get RST at expiry",
      url: `${AZURE_DOCS}/load-balancer/load-balancer-tcp-reset`,
    },
  },
  {
    name: "azure-nat-gateway",
    title: "Azure NAT gateway",
    group: "Azure",
    kind: "packet-box",
    defaults: { timeout: "4m", at_expiry: "silent", from_client: "reset", from_server: "drop" },
    knobs: azureIdle,
    source: {
      text: "Azure documentation, NAT gateway: 4 min, 4 to 120; unidirectional RST for the next packet",
      url: `${AZURE_DOCS}/nat-gateway/nat-gateway-resource`,
    },
  },
  {
    name: "aks-outbound",
    title: "AKS outbound load balancer",
    group: "Azure",
    kind: "packet-box",
    defaults: { timeout: "30m", ...SILENT },
    knobs: { ...azureIdle, "load-balancer-idle-timeout": { fields: ["timeout"], unit: "min" } },
    source: {
      text: "Azure/AKS #1564: AKS raises the balancer's 4 min to 30 min",
      url: "https://github.com/Azure/AKS/issues/1564",
    },
  },
  {
    name: "azure-app-gateway",
    title: "Azure Application Gateway",
    group: "Azure",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "4m",
      server_timeout: "20s",
      upstream_idle_timeout: "4m",
    },
    knobs: { requestTimeout: { fields: ["server_timeout"] } },
    source: {
      text: "frontend TCP idle timeout 4 min, request timeout 20 s",
      url: `${AZURE_DOCS}/application-gateway/application-gateway-faq`,
      isUnverified: true,
    },
  },
  {
    name: "azure-app-service",
    title: "Azure App Service front end",
    group: "Azure",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "4m",
      server_timeout: "230s",
      upstream_idle_timeout: "4m",
    },
    source: { text: "230 s for a request, fixed", isUnverified: true },
  },
];

const OTHERS: readonly CatalogueEntry[] = [
  {
    name: "ksyun-slb",
    title: "Kingsoft Cloud SLB, TCP listener",
    group: "other clouds",
    kind: "packet-box",
    defaults: { timeout: "900s", ...SILENT, at_expiry: "reset-both" },
    source: {
      text: "Kingsoft documentation: TCP 900 s, fixed, RST to client and real server",
      url: "https://docs.ksyun.com/documents/1150",
    },
  },
  {
    name: "ksyun-slb-http",
    title: "Kingsoft Cloud SLB, HTTP listener",
    group: "other clouds",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "300s",
      server_timeout: "300s",
      upstream_idle_timeout: "300s",
    },
    source: {
      text: "Kingsoft documentation: HTTP 300 s, fixed",
      url: "https://docs.ksyun.com/documents/1150",
    },
  },
  {
    name: "alibaba-clb",
    title: "Alibaba Cloud CLB, TCP listener (NLB alike)",
    group: "other clouds",
    kind: "packet-box",
    defaults: { timeout: "900s", ...SILENT, at_expiry: "reset-both" },
    knobs: { EstablishedTimeout: { fields: ["timeout"] } },
    source: { text: "900 s, 10 to 900; RST to both ends is hearsay", isUnverified: true },
  },
  {
    name: "alibaba-alb",
    title: "Alibaba Cloud ALB and CLB, HTTP listener",
    group: "other clouds",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "15s",
      server_timeout: "60s",
      upstream_idle_timeout: "15s",
    },
    knobs: {
      IdleTimeout: { fields: ["client_idle_timeout"] },
      RequestTimeout: { fields: ["server_timeout"] },
    },
    source: { text: "idle 15 s, request 60 s", isUnverified: true },
  },
  {
    name: "tencent-clb",
    title: "Tencent Cloud CLB, TCP listener",
    group: "other clouds",
    kind: "packet-box",
    defaults: { timeout: "900s", ...SILENT },
    source: {
      text: "900 s",
      url: "https://www.tencentcloud.com/document/product/214/32517",
      isUnverified: true,
    },
  },
  {
    name: "huawei-elb",
    title: "Huawei Cloud ELB, TCP listener",
    group: "other clouds",
    kind: "packet-box",
    defaults: { timeout: "300s", ...SILENT },
    source: {
      text: "Huawei Cloud documentation: TCP 300 s, 10 to 4000; what it does at expiry is not said",
      url: "https://support.huaweicloud.com/intl/en-us/drawer-cce/Service_k8s_annotation__kubernetes_io_elb_keepalive_timeout.html",
      isUnverified: true,
    },
  },
  {
    name: "huawei-elb-http",
    title: "Huawei Cloud ELB, HTTP listener",
    group: "other clouds",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "60s",
      server_timeout: "60s",
      upstream_idle_timeout: "60s",
    },
    source: {
      text: "Huawei Cloud documentation: HTTP 60 s, 0 to 4000; the response's time-out is a guess",
      url: "https://support.huaweicloud.com/intl/en-us/drawer-cce/Ingress_k8s_annotation__kubernetes_io_elb_keepalive_timeout.html",
      isUnverified: true,
    },
  },
  {
    name: "ucloud-clb",
    title: "UCloud CLB",
    group: "other clouds",
    kind: "proxy",
    defaults: { protocol: "tcp", client_idle_timeout: "60s", server_timeout: "60s" },
    source: {
      text: "UCloud documentation, CLB questions: 60 s, can be changed; the address was not checked",
      url: "https://docs.ucloud.cn/ulb/faq",
      isUnverified: true,
    },
  },
];

export const CLOUDS: readonly CatalogueEntry[] = [...AWS, ...GOOGLE, ...AZURE, ...OTHERS];
