package smelt.converter.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Locale;
import smelt.calibrate.cuda.DeviceException;
import smelt.converter.InterruptedRunException;
import smelt.converter.OutputConflictException;
import smelt.converter.RefusedException;
import smelt.converter.UnitsFailedException;
import smelt.converter.recipe.RecipeException;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;

/// What the program exits with.
public enum ExitCode {
  OK(0),
  /// A quality or verification bound failed, or two models differ.
  BOUND_FAILED(1),
  /// The command line or the recipe is wrong.
  USAGE(2),
  /// The source is invalid, corrupt or not supported.
  BAD_SOURCE(3),
  /// Refused beforehand, or out of disk space: try again with more room or other options.
  REFUSED(4),
  /// The output is locked, or holds another plan.
  OUTPUT_CONFLICT(5),
  /// Some units failed for good, or reading or writing failed.
  UNITS_FAILED(6),
  /// A fault in Smelt.
  FAULT(70),
  /// Stopped; the same command goes on from here.
  INTERRUPTED(75);

  private final int code;

  ExitCode(int code) {
    this.code = code;
  }

  public int code() {
    return code;
  }

  /// What a command that ended with this exception exits with.
  public static ExitCode of(Throwable thrown) {
    return switch (thrown) {
      case RecipeException _, picocli.CommandLine.ParameterException _ -> USAGE;
      case BadInputException _, UnsupportedException _ -> BAD_SOURCE;
      case RefusedException _ -> REFUSED;
      case OutputConflictException _ -> OUTPUT_CONFLICT;
      case UnitsFailedException _, DeviceException _ -> UNITS_FAILED;
      case InterruptedRunException _, InterruptedException _ -> INTERRUPTED;
      case UncheckedIOException unchecked -> of(unchecked.getCause());
      case IOException io -> isDiskFull(io) ? REFUSED : UNITS_FAILED;
      default -> FAULT;
    };
  }

  /// Whether a write failed for want of room.
  static boolean isDiskFull(IOException e) {
    String message = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
    return message.contains("no space left") || message.contains("disk quota exceeded");
  }
}
