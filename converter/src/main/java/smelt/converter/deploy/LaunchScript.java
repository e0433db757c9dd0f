package smelt.converter.deploy;

/// `launch.sh`: a POSIX shell script. What depends on the files is written into it; what depends on
/// the machine is a variable with a default, on top.
final class LaunchScript {

  private LaunchScript() {}

  static String of(Deployment deployment) {
    String head =
        """
        #!/bin/sh
        # Serves %s. Flags without a variable belong to the files beside this folder: leave them.
        set -eu
        here=$(cd "$(dirname "$0")" && pwd)
        """
            .formatted(oneLine(deployment.name()));
    return head
        + switch (deployment.serving()) {
          case Serving.KTransformers runtime -> kTransformers(deployment, runtime);
          case Serving.LlamaCpp runtime -> llamaCpp(runtime);
        };
  }

  private static String kTransformers(Deployment deployment, Serving.KTransformers runtime) {
    String model =
        deployment.gpu().path().isEmpty()
            ? "MODEL=${MODEL:?the folder of the model that was converted, for the GPU}"
            : "MODEL=${MODEL:-\"$here/" + deployment.gpu().path() + "\"}";
    String weights = runtime.weights().isEmpty() ? ".." : "../" + runtime.weights();
    return """

    # What the GPU serves: a checkpoint with config.json and tokenizer.
    %s
    # Threads for experts: the processor's cores, less a few for the runtime itself.
    CPU_THREADS=${CPU_THREADS:-$(nproc)}
    # Experts of each layer that the GPU keeps: more, if its memory allows.
    GPU_EXPERTS=${GPU_EXPERTS:-%d}
    TENSOR_PARALLEL=${TENSOR_PARALLEL:-1}
    # Tokens in the key-value cache, of all requests together.
    CONTEXT=${CONTEXT:-%d}

    exec python3 -m sglang.launch_server \\
      --model "$MODEL" \\
      --trust-remote-code \\
      --kt-method %s \\
      --kt-weight-path "$here/%s" \\
      --kt-threadpool-count %d \\
      --kt-cpuinfer "$CPU_THREADS" \\
      --kt-num-gpu-experts "$GPU_EXPERTS" \\
      --disable-shared-experts-fusion \\
      --tensor-parallel-size "$TENSOR_PARALLEL" \\
      --max-total-tokens "$CONTEXT" \\
      "$@"
    """
        .formatted(
            model,
            Deployment.GPU_EXPERTS,
            Deployment.CONTEXT,
            runtime.method(),
            weights,
            runtime.nodes());
  }

  private static String llamaCpp(Serving.LlamaCpp runtime) {
    String engine =
        runtime.interleaved()
            ? "\n# The server of ik_llama.cpp: no other reads rows of experts that are interleaved.\n"
            : "";
    return engine
        + """

        # Layers on the GPU, without their routed experts; 0 without a GPU.
        GPU_LAYERS=${GPU_LAYERS:-99}
        CONTEXT=${CONTEXT:-%d}

        exec llama-server \\
          -m "$here/../%s" \\
          -ngl "$GPU_LAYERS" \\
          -ot 'ffn_(gate|up|down)_exps=CPU' \\
          -c "$CONTEXT" \\
          "$@"
        """
            .formatted(Deployment.CONTEXT, runtime.firstFile());
  }

  /// A name as part of a comment.
  private static String oneLine(String name) {
    return name.replaceAll("\\p{Cntrl}", "?");
  }
}
