package smelt.converter.cli;

import picocli.CommandLine;
import picocli.CommandLine.Option;
import smelt.calibrate.model.Sampler.Sampling;

/// `--temperature`, `--top-p` and `--seed`: how a next token is chosen.
final class SamplingOptions {

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description = "Draw tokens, with logits divided by T. Default: take the likeliest one.")
  private Double temperature;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description = "Draw only from the likeliest tokens that have P of the probability together.")
  private Double topP;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "What the draws follow from: same seed, same tokens (default 0).")
  private Long seed;

  Sampling sampling() {
    if (temperature == null) {
      if (topP != null || seed != null) {
        throw refuse((topP == null ? "--seed" : "--top-p") + " needs --temperature");
      }
      return new Sampling.Greedy();
    }
    if (temperature == 0 && topP == null && seed == null) {
      return new Sampling.Greedy();
    }
    try {
      return new Sampling.Drawn(temperature, topP == null ? 1 : topP, seed == null ? 0 : seed);
    } catch (IllegalArgumentException _) {
      throw refuse(
          "--temperature "
              + temperature
              + (topP == null ? "" : ", --top-p " + topP)
              + ": a temperature above 0, and P above 0 and at most 1");
    }
  }

  private CommandLine.ParameterException refuse(String message) {
    return new CommandLine.ParameterException(command.commandLine(), message);
  }
}
