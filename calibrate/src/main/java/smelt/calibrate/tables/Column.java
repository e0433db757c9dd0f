package smelt.calibrate.tables;

import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import java.util.function.IntToDoubleFunction;
import java.util.function.IntToLongFunction;
import java.util.function.IntUnaryOperator;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;

/// A column of a table: its name, and its value in each row. Rows are numbered from 0.
///
/// | kind | Arrow type | nulls |
/// |---|---|---|
/// | `Text` | utf8 | no |
/// | `Category` | utf8, dictionary-encoded with int32 indices | where there is none |
/// | `Int32` | int32 | no |
/// | `OptionalInt32` | int32 | where there is none |
/// | `Int64` | int64 | no |
/// | `Real` | float64 | where the value is NaN; infinities are values |
/// | `Float32` | float32 | no |
/// | `Flag` | bool | no |
public sealed interface Column {

  String name();

  record Text(String name, IntFunction<String> value) implements Column {}

  /// One of few words.
  record Category(String name, IntFunction<Optional<String>> value) implements Column {}

  record Int32(String name, IntUnaryOperator value) implements Column {}

  record OptionalInt32(String name, IntFunction<OptionalInt> value) implements Column {}

  record Int64(String name, IntToLongFunction value) implements Column {}

  record Real(String name, IntToDoubleFunction value) implements Column {}

  record Float32(String name, IntToFloat value) implements Column {}

  record Flag(String name, IntPredicate value) implements Column {}

  /// The number of a row.
  @FunctionalInterface
  interface IntToFloat {
    float applyAsFloat(int row);
  }

  /// The type of the values; for a category that of its words.
  default ArrowType type() {
    return switch (this) {
      case Text _, Category _ -> ArrowType.Utf8.INSTANCE;
      case Int32 _, OptionalInt32 _ -> new ArrowType.Int(Integer.SIZE, true);
      case Int64 _ -> new ArrowType.Int(Long.SIZE, true);
      case Real _ -> new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE);
      case Float32 _ -> new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
      case Flag _ -> ArrowType.Bool.INSTANCE;
    };
  }

  default boolean nullable() {
    return switch (this) {
      case Category _, OptionalInt32 _, Real _ -> true;
      case Text _, Int32 _, Int64 _, Float32 _, Flag _ -> false;
    };
  }
}
