// RUN: ascend-opt %s --split-input-file --verify-diagnostics | filecheck %s

func.func @concat(%a: tensor<1x8x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, %b: tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) {
  %0 = ascend.concat_view %a, %b axis 1 : (tensor<1x8x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x24x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  func.return
}
// CHECK: operand 0: expected one contiguous piece of whole 32-byte units, got [0, 0, 0, 0] + [1, 8, 4, 4]

// -----

func.func @rows(%a: tensor<4x8xf16>, %b: tensor<4x8xf16>) {
  %0 = ascend.concat_view %a, %b axis 0 : (tensor<4x8xf16>, tensor<4x8xf16>) -> tensor<8x8xf16>
  func.return
}
// CHECK: operand 0: expected rows of whole 32-byte units, got tensor<4x8xf16>

// -----

func.func @slice(%a: tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) {
  %0 = ascend.slice_view %a starts [0, 8, 0, 0] : tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  func.return
}
// CHECK: result: expected one contiguous piece of whole 32-byte units, got [0, 8, 0, 0] + [1, 16, 4, 4]

// -----

func.func @view(%a: tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) {
  %0 = ascend.view %a : tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x512xf16>
  func.return
}
// CHECK: expected the same bytes, got tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> and tensor<1x512xf16>

// -----

func.func @trans(%a: tensor<1x32x4x4xf16>) {
  %0 = ascend.trans_data %a : tensor<1x32x4x4xf16> -> tensor<1x32x4x4xf16>
  func.return
}
// CHECK: expected another layout than ND

// -----

func.func @group(%a: tensor<4xf16>) {
  %0 = ascend.group "Relu" (%a) engine gpu schedule #ascend.schedule<> {
  ^bb0(%x: tensor<4xf16>):
    nn.yield %x : tensor<4xf16>
  } : (tensor<4xf16>) -> tensor<4xf16>
  func.return
}
// CHECK: expected engine cube, vector, move, sort, attention, recurrence, aicpu, got gpu

// -----

func.func @argument(%a: tensor<4xf16>) {
  %0 = ascend.group "Relu" (%a) engine vector schedule #ascend.schedule<> {
  ^bb0(%x: tensor<5xf16>):
    nn.yield %x : tensor<5xf16>
  } : (tensor<4xf16>) -> tensor<5xf16>
  func.return
}
// CHECK: block argument 0: expected tensor<4xf16>, got tensor<5xf16>

// -----

func.func @rank(%a: tensor<4x3xf16, #ascend.layout<NC1HWC0, c0 = 16>>) {
  %0 = ascend.trans_data %a : tensor<4x3xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<4x3xf16>
  func.return
}
// CHECK: operand: NC1HWC0 below rank 4 holds one vector, got [4, 3]
