// Places an order with the types that openapi-typescript generates, and prints its status, its total and the
// price in its timeline.
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const [, , base, managerEmail, managerPassword] = process.argv as [string, string, string, string, string];

type JSONBody<T> = T extends { content: { "application/json": infer B } } ? B : never;
type Input<P extends keyof paths> = paths[P] extends { post: { requestBody: infer R } } ? JSONBody<R> : never;
type Output<P extends keyof paths, S extends number> = paths[P] extends { post: { responses: infer R } }
  ? S extends keyof R ? JSONBody<R[S]> : never
  : never;

async function post<P extends keyof paths & string, S extends number>(
  path: P, body: Input<P>, status: S, headers: Record<string, string> = {},
): Promise<Output<P, S>> {
  const response = await fetch(base + path, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers },
  });
  if (response.status !== status) {
    throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  }
  return await response.json() as Output<P, S>;
}

async function logIn(email: string, password: string): Promise<Record<string, string>> {
  const session = await post("/auth/login", { email, password }, 200);
  return { Authorization: `${session.tokenType} ${session.accessToken}` };
}

const manager = await logIn(managerEmail, managerPassword);
const product = await post("/products", { name: "Desk", price: 1234567.89, initialQuantity: 5 }, 201, manager);
const email = `ada${product.id}@example.com`, password = "correct horse battery";
await post("/auth/register/user", { username: "Ada", email, password }, 201);
const client = await logIn(email, password);
const sale = await post("/sales", { items: [{ productId: product.id, quantity: 2 }] }, 201, { Prefer: "wait=30", ...client });
const timeline = await fetch(`${base}/sales/${sale.id}/events`, { headers: client });
const { items } = await timeline.json() as components["schemas"]["EntryBodyPage"];
for (const entry of items) {
  if (entry.type === "SaleItemsReservedResponse") {
    console.log(sale.status, sale.totalAmount, entry.data.itemsReserved[0]?.price);
  }
}
