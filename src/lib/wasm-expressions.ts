/** Instructions that leave a value, written around their operands rather than behind them. */
import { loadByte, loadInt, loadLong, OP } from './wasm.ts'

export type Expression = readonly number[]

export const add = binary(OP.ADD)
export const subtract = binary(OP.SUB)
/** Of signed numbers. */
export const isLess = binary(OP.LT_SIGNED)
export const isMore = binary(OP.GT_SIGNED)
export const isEqual = binary(OP.EQ)

/** What is at an address: a word, eight bytes, one. */
export const load = (address: Expression): Expression => [...address, ...loadInt(0)]
export const loadEight = (address: Expression): Expression => [...address, ...loadLong(0)]
export const loadOne = (address: Expression): Expression => [...address, ...loadByte(0)]

function binary(operation: number): (a: Expression, b: Expression) => Expression {
  return (a, b) => [...a, ...b, operation]
}
