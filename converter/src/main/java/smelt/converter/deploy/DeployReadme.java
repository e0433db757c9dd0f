package smelt.converter.deploy;

import java.util.Locale;

/// `README.md` of the folder: what to do first, and the ledger as a table.
final class DeployReadme {

  private DeployReadme() {}

  static String of(Deployment deployment, Ledger ledger) {
    StringBuilder out = new StringBuilder("# How to serve this\n\n");
    switch (deployment.serving()) {
      case Serving.KTransformers runtime -> kTransformers(out, deployment, runtime);
      case Serving.LlamaCpp runtime -> llamaCpp(out, runtime);
    }
    table(out, deployment, ledger);
    return out.toString();
  }

  private static void kTransformers(
      StringBuilder out, Deployment deployment, Serving.KTransformers runtime) {
    String model =
        deployment.gpu().path().isEmpty()
            ? "    MODEL=<the model that was converted> sh launch.sh --port 30000\n"
            : "    sh launch.sh --port 30000\n";
    out.append(
        """
        For KTransformers (`sglang-kt`): routed experts are computed on the processor, everything else on the GPU.

        %s
        - The processor needs %s.
        - Routed experts are cut for %d NUMA node%s: `--kt-threadpool-count %d`. Method and number
          are those of the files. The runtime does not compare them, and answers with nonsense if they differ.
        - `launch.sh` has the machine's figures as variables on top. What follows it goes to the server.

        """
            .formatted(
                model,
                runtime.needs(),
                runtime.nodes(),
                runtime.nodes() == 1 ? "" : "s",
                runtime.nodes()));
  }

  private static void llamaCpp(StringBuilder out, Serving.LlamaCpp runtime) {
    out.append(
        """
        For %s: routed experts stay in the machine's memory, everything else goes to the GPU.

            sh launch.sh --port 8080
            GPU_LAYERS=0 sh launch.sh --port 8080    # without a GPU

        - Any processor will do; AVX2 or AVX-512 make it faster.
        - A model in several files is given by the first; the others are found beside it.
        %s
        """
            .formatted(
                runtime.engine(),
                runtime.interleaved()
                    ? "- Rows of experts are interleaved for the processor: llama.cpp itself does not read them,"
                        + " and no GPU computes with them.\n"
                    : ""));
  }

  private static void table(StringBuilder out, Deployment deployment, Ledger ledger) {
    out.append("## What lies where\n\n| place | what | bytes | GiB |\n|---|---|---:|---:|\n");
    ledger.lines().forEach(line -> row(out, line));
    ledger.copies().forEach(line -> row(out, line));
    ledger
        .places()
        .forEach(
            (place, bytes) -> out.append("| **" + place + "** | sum | " + figures(bytes) + " |\n"));
    long cache = Math.multiplyExact(deployment.cacheBytes(), (long) Deployment.CONTEXT);
    out.append(
        String.format(
            Locale.ROOT,
            """

            Bytes of tensors, as they are in the files. The key-value cache takes %,d bytes a token in BF16 (%.2f GiB for
            %,d tokens) on the GPU; activations and buffers of the runtime come on top. With several GPUs each
            takes about its share of the GPU's lines.
            """,
            deployment.cacheBytes(),
            gib(cache),
            Deployment.CONTEXT));
  }

  private static void row(StringBuilder out, Ledger.Line line) {
    out.append(
        "| " + line.place().label() + " | " + line.what() + " | " + figures(line.bytes()) + " |\n");
  }

  private static String figures(long bytes) {
    return String.format(Locale.ROOT, "%,d | %.2f", bytes, gib(bytes));
  }

  private static double gib(long bytes) {
    return bytes / (double) (1 << 30);
  }
}
