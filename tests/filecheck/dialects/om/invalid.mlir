// RUN: ascend-opt %s --verify-diagnostics --split-input-file | filecheck %s

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.input "x" : f16 [256] ND bytes 512 at 512
}
// CHECK: tensor 'x' lies outside the feature map of 512 bytes

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 4096 code "ascend-mlir.isa.1" {
}
// CHECK: the feature-map and weight regions overlap or leave the address space

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.weight "w" : f16 [16] ND bytes 32 at 0 from #om.file<"m.om">
}
// CHECK: weight 'w' lies at 0, not at a multiple of 512 above 0

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.weight "w" : f16 [16] ND bytes 64 at 512 from #om.file<"m.om">
}
// CHECK: weight 'w' has 64 bytes, its storage shape says 32

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.task "nowhere" blocks 1 args [] node 0
}
// CHECK: task 0 (nowhere) launches a kernel that the model does not hold

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.kernel "k" code ""
  om.task "k" blocks 1 args [feature_map + 513] node 0
}
// CHECK: task 0 (k) has an address outside its region

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.kernel "k" code ""
  om.task "k" blocks 0 args [] node 0
}
// CHECK: task 0 (k) has block dim 0

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.input "x" : q7 [256] ND bytes 512 at 0
}
// CHECK: 'x' has element type 'q7', which the container cannot hold
