/**
 * What travels on a leg, as far as a prediction needs it: five kinds of packets, and what a piece of payload means to the
 * application that reads it.
 */
export type Side = "client" | "server";

export type Content = "request" | "answer" | "error-response" | "ping";

export type Packet =
  | { readonly kind: "payload"; readonly content: Content }
  | { readonly kind: "acknowledgement" }
  | { readonly kind: "probe" }
  | { readonly kind: "fin" }
  | { readonly kind: "reset" };

export const otherSide = (side: Side): Side => (side === "client" ? "server" : "client");
