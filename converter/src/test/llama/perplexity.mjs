// Scores windows of tokens with llama.cpp.
//
//   node perplexity.mjs MODEL.gguf < WINDOWS.json
//
// WINDOWS.json is a list of lists of token ids. Of each window all but the last token are read, from
// position 0 and without anything before them, and all but the first are scored. Prints a list with
// the sum of -ln p of each window. Probabilities are over the whole vocabulary, summed in FP64.
import fs from "node:fs";
import {getLlama} from "node-llama-cpp";

const windows = JSON.parse(fs.readFileSync(0, "utf8"));
const llama = await getLlama({
  gpu: false, build: "never", skipDownload: true, progressLogs: false, maxThreads: 2
});
const model = await llama.loadModel({modelPath: process.argv[2]});
const length = Math.max(...windows.map((window) => window.length - 1));
const context = await model.createContext({contextSize: length, batchSize: length, threads: 2});
const sequence = context.getSequence();
// Without these options the engine's sampler would leave out what is unlikely.
const generateNext = {logits: true, options: {temperature: 1, topK: 0, topP: 1, minP: 0}};

const sums = [];
for (const window of windows) {
  await sequence.clearHistory();
  const results = await sequence.controlledEvaluate(
    window.slice(0, -1).map((token) => [token, {generateNext}])
  );
  let sum = 0;
  results.forEach((result, i) => {
    const logits = result.next.logits;
    let largest = -Infinity;
    for (const logit of logits.values()) largest = Math.max(largest, logit);
    let total = 0;
    for (const logit of logits.values()) total += Math.exp(logit - largest);
    sum += largest + Math.log(total) - logits.get(window[i + 1]);
  });
  sums.push(sum);
}
fs.writeSync(1, JSON.stringify(sums) + "\n");
process.exit(0);
