// Cuts texts into tokens with llama.cpp.
//
//   node tokenize.mjs MODEL.gguf < TEXTS.json
//
// TEXTS.json is a list of texts. Prints a list with the list of token ids of each.
import fs from "node:fs";
import {getLlama} from "node-llama-cpp";

const texts = JSON.parse(fs.readFileSync(0, "utf8"));
const llama = await getLlama({
  gpu: false, build: "never", skipDownload: true, progressLogs: false, maxThreads: 2
});
const model = await llama.loadModel({modelPath: process.argv[2]});
const ids = texts.map((text) => Array.from(model.tokenize(text, false)));
fs.writeSync(1, JSON.stringify(ids) + "\n");
process.exit(0);
