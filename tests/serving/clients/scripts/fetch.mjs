// Node's fetch, which browsers have too. Argument: the server's address. Prints what came, as JSON.

const url = process.argv[2];
const seen = {};

async function told(answer) {
  const body = await answer.text();
  return { status: answer.status, body: answer.headers.get("content-type") === "application/json" ? JSON.parse(body) : body };
}

// A string goes out as text/plain;charset=UTF-8 unless the caller says otherwise.
const instances = JSON.stringify({ instances: ["a wonderful film", "dull from beginning to end"] });
seen.predict_plain = await told(await fetch(`${url}/v1/models/reviews:predict`, { method: "POST", body: instances }));
seen.predict_json = await told(
  await fetch(`${url}/v1/models/reviews:predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: instances,
  }),
);
seen.predict_text = await told(
  await fetch(`${url}/v1/models/reviews:predict`, { method: "POST", body: "a wonderful film" }),
);

const inputs = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 3], data: [1, 2, 3] }] });
seen.infer_plain = await told(await fetch(`${url}/v2/models/flex/infer`, { method: "POST", body: inputs }));

async function binary(numbers) {
  const head = new TextEncoder().encode(
    JSON.stringify({
      inputs: [
        { name: "x", datatype: "FP32", shape: [1, numbers.length], parameters: { binary_data_size: numbers.byteLength } },
      ],
      parameters: { binary_data_output: true },
    }),
  );
  const answer = await fetch(`${url}/v2/models/flex/infer`, {
    method: "POST",
    headers: { "Inference-Header-Content-Length": String(head.byteLength) },
    body: new Blob([head, numbers]),
  });
  const whole = await answer.arrayBuffer();
  const split = Number(answer.headers.get("inference-header-content-length"));
  return { status: answer.status, numbers: new Float32Array(whole.slice(split)) };
}

const small = await binary(new Float32Array([0.5, -1, 3e38]));
seen.binary = { status: small.status, numbers: Array.from(small.numbers) };

const large = Float32Array.from({ length: 250_000 }, (_, place) => place / 7);
const many = await Promise.all(Array.from({ length: 16 }, (_, caller) => binary(large.map((number) => number + caller))));
seen.large = many.map(
  (got, caller) => got.status === 200 && got.numbers.every((number, place) => number === Math.fround(large[place] + caller)),
);

seen.wrong = await told(await fetch(`${url}/v1/models/reviews:predict`, { method: "GET" }));
console.log(JSON.stringify(seen));
