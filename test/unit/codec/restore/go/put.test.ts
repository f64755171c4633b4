import { expect, it } from 'vitest'
import { Course } from '../../../../../src/codec/restore/course.ts'
import { putLongMatch } from '../../../../../src/codec/restore/go/put.ts'
import { UNKNOWN } from '../../../../../src/codec/restore/model.ts'
import { findModel } from '../../../../../src/codec/restore/models.ts'

it('refuses a match that corrections have made too late to end in time', () => {
  const model = findModel(40)
  if (model === undefined) throw new Error('there is no model')
  const course = new Course(model.create(), new Uint32Array(100).fill(UNKNOWN))
  course.end = 500

  expect(() => putLongMatch(course, 501, 1)).toThrow('a match leads out of its segment')
})
