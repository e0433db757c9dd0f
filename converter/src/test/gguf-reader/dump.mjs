// Prints what another reader finds in the header of a GGUF file.
//
//   node dump.mjs MODEL.gguf
//
// {"metadata": {KEY: {"type", "subType", "value"}}, "tensors": [{"name", "shape", "type", "offset"}]}; whole numbers of
// 64 bits are texts.
import {gguf} from "@huggingface/gguf";

const found = await gguf(process.argv[2], {allowLocalFile: true, typedMetadata: true});
const tensors = found.tensorInfos.map(({name, shape, dtype, offset}) => ({name, shape, type: dtype, offset}));
process.stdout.write(
  JSON.stringify(
    {metadata: found.typedMetadata, tensors, dataOffset: found.tensorDataOffset},
    (key, value) => (typeof value === "bigint" ? value.toString() : value)
  ) + "\n"
);
