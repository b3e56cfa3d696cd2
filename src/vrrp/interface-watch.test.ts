import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleAddress, exampleLink, FakeKernel } from "./driver-fixtures.ts";
import { InterfaceWatch } from "./interface-watch.ts";

function watchOf(kernel: FakeKernel, name = "eth0") {
  const watch = new InterfaceWatch(kernel);
  const told: string[] = [];
  watch.subscribe(name, {
    handleLink: (link) => told.push(link === undefined ? "gone" : `link ${link.isUp ? "up" : "down"}`),
    handleAddressAdded: (address) => told.push(`+${address.host}`),
    handleAddressRemoved: (address) => told.push(`-${address.host}`),
  });
  return { watch, told };
}

test("InterfaceWatch tells changes of the interface by its name, and not what is no change", () => {
  const { watch, told } = watchOf(new FakeKernel([exampleLink()], []));
  watch.handleEvent({ kind: "link-changed", link: exampleLink() });
  watch.handleEvent({ kind: "link-changed", link: exampleLink({ isUp: false }) });
  watch.handleEvent({ kind: "link-changed", link: exampleLink({ index: 9, name: "eth9" }) });
  assert.deepEqual(told, ["link down"]);
  assert.equal(watch.link("eth9")?.index, 9);
});

test("InterfaceWatch: a renamed interface is gone under its old name and there under its new one", () => {
  const { watch, told } = watchOf(new FakeKernel([exampleLink()], []));
  watch.handleEvent({ kind: "link-changed", link: exampleLink({ name: "lan0" }) });
  watch.handleEvent({ kind: "link-changed", link: exampleLink({ name: "eth0" }) });
  assert.deepEqual(told, ["gone", "link up"]);
});

test("InterfaceWatch keeps addresses in the kernel's order and forgets them with the interface", () => {
  const kernel = new FakeKernel([exampleLink()], [exampleAddress("192.0.2.1")]);
  const { watch, told } = watchOf(kernel);
  watch.handleEvent({ kind: "address-added", address: exampleAddress("192.0.2.2") });
  watch.handleEvent({ kind: "address-added", address: exampleAddress("192.0.2.1", { validSeconds: 5 }) });
  assert.deepEqual(
    watch.addressesOf(2).map(({ host }) => host),
    ["192.0.2.1", "192.0.2.2"],
  );
  watch.handleEvent({ kind: "link-removed", index: 2, name: "eth0" });
  assert.deepEqual(watch.addressesOf(2), []);
  assert.equal(told.at(-1), "gone");
});

test("InterfaceWatch: after an overrun it lists everything and tells the differences", () => {
  const kernel = new FakeKernel([exampleLink()], [exampleAddress("192.0.2.1"), exampleAddress("192.0.2.10")]);
  const { watch, told } = watchOf(kernel);
  kernel.forget("192.0.2.10");
  kernel.addresses_.push(exampleAddress("192.0.2.3"));
  kernel.links_[0] = exampleLink({ isUp: false });
  watch.handleEvent({ kind: "overrun" });
  assert.ok(
    told.includes("link down") && told.includes("-192.0.2.10") && told.includes("+192.0.2.3"),
    told.join(),
  );
});
