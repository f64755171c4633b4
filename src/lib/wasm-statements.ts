/** Instructions that leave no value behind: variables, memory, conditions and loops around expressions. */
import {
  branch,
  branchIf,
  call,
  get,
  getGlobal,
  loop,
  OP,
  set,
  setGlobal,
  storeInt,
  storeShort,
  when as thenDo,
} from './wasm.ts'
import { type Expression, isZero } from './wasm-expressions.ts'

export type Statement = readonly number[]

export interface Variable {
  readonly value: Expression
  set(value: Expression): Statement
}

/** Parameters and locals by name, in their order. */
export function locals<const Name extends string>(
  ...names: readonly Name[]
): Readonly<Record<Name, Variable>> {
  return variables(names, get, set)
}

/** Globals by name, in their order. */
export function globals<const Name extends string>(
  ...names: readonly Name[]
): Readonly<Record<Name, Variable>> {
  return variables(names, getGlobal, setGlobal)
}

export function store(address: Expression, offset: number, value: Expression): Statement {
  return [...address, ...value, ...storeInt(offset)]
}

/** The lower 16 bits. */
export function storeTwo(address: Expression, offset: number, value: Expression): Statement {
  return [...address, ...value, ...storeShort(offset)]
}

export function invoke(index: number, ...values: readonly Expression[]): Expression {
  return [...values.flat(), ...call(index)]
}

/** Ends the function. */
export function give(value: Expression): Statement {
  return [...value, OP.RETURN]
}

export function when(condition: Expression, statements: readonly Statement[]): Statement {
  return [...condition, ...thenDo(statements)]
}

export function either(
  condition: Expression,
  statements: readonly Statement[],
  otherwise: readonly Statement[],
): Statement {
  return [...condition, ...thenDo([...statements, OP.ELSE, ...otherwise])]
}

/** Goes on while the condition holds. */
export function during(condition: Expression, body: readonly Statement[]): Statement {
  return loop([...isZero(condition), branchIf(1), ...body, branch(0)])
}

/** Leaves the innermost `during`, out of so many `when` in it. */
export function leave(depth = 0): Statement {
  return branch(1 + depth)
}

export function leaveIf(condition: Expression): Statement {
  return [...condition, ...branchIf(1)]
}

function variables<const Name extends string>(
  names: readonly Name[],
  read: (index: number) => number[],
  write: (index: number) => number[],
): Readonly<Record<Name, Variable>> {
  const entries = names.map((name, index): readonly [Name, Variable] => [
    name,
    { value: read(index), set: (value) => [...value, ...write(index)] },
  ])
  return Object.fromEntries(entries) as Record<Name, Variable>
}
