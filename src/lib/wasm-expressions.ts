/** Instructions that leave a value, written around their operands rather than behind them. */
import { int, loadByte, loadInt, loadLong, loadShort, OP } from './wasm.ts'

export type Expression = readonly number[]

export const add = binary(OP.ADD)
export const subtract = binary(OP.SUB)
export const multiply = binary(OP.MULTIPLY)
export const and = binary(OP.AND)
export const or = binary(OP.OR)
export const exclusiveOr = binary(OP.XOR)
export const shiftLeft = binary(OP.SHIFT_LEFT)
/** Zeros come in. */
export const shiftRight = binary(OP.SHIFT_RIGHT)
export const rotateLeft = binary(OP.ROTATE_LEFT)
/** Of signed numbers. */
export const isLess = binary(OP.LT_SIGNED)
export const isMore = binary(OP.GT_SIGNED)
export const isAtMost = binary(OP.LE_SIGNED)
export const isAtLeast = binary(OP.GE_SIGNED)
export const isEqual = binary(OP.EQ)
export const isDifferent = binary(OP.NE)
export const isZero = (value: Expression): Expression => [...value, OP.IS_ZERO]

/** What is at an address, or so far behind it: a word, eight bytes, two, one. */
export const load = at(loadInt)
export const loadEight = at(loadLong)
export const loadTwo = at(loadShort)
export const loadOne = at(loadByte)

/** The smaller one; both are evaluated twice. */
export function smaller(a: Expression, b: Expression): Expression {
  return choose(isLess(a, b), a, b)
}

export function choose(condition: Expression, one: Expression, other: Expression): Expression {
  return [...one, ...other, ...condition, OP.SELECT]
}

export function number(value: number): Expression {
  return int(value)
}

function at(
  instruction: (offset: number) => number[],
): (address: Expression, offset?: number) => Expression {
  return (address, offset = 0) => [...address, ...instruction(offset)]
}

function binary(operation: number): (a: Expression, b: Expression) => Expression {
  return (a, b) => [...a, ...b, operation]
}
